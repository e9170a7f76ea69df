export function LostPage() {
  return (
    <div class="panel narrow">
      <h1>There is nothing here</h1>
      <p>The address may be mistyped, or what was here is gone.</p>
      <p>
        <a class="button" href="/">
          To the rooms
        </a>
      </p>
    </div>
  )
}
