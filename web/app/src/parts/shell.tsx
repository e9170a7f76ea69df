import type { ComponentChildren } from 'preact'
import type { Route } from '../router'

/** The frame around every page: a way past it for the keyboard, the name, the two places to go. */
export function Shell({ page, children }: { page: Route['page']; children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.stopPropagation(), document.getElementById('main')?.focus())}>
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label="airloom, start">
          <Mark />
          <span>airloom</span>
        </a>
        <nav aria-label="Pages">
          <a href="/" aria-current={page === 'start' ? 'page' : undefined}>
            Rooms
          </a>
          <a href="/recordings" aria-current={page === 'recordings' ? 'page' : undefined}>
            Recordings
          </a>
        </nav>
      </header>
      <main id="main" tabIndex={-1} class={`page page-${page}`}>
        {children}
      </main>
    </>
  )
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <g>
        <path d="M7 13v6M11.5 8v16M16 11v10M20.5 6v20M25 13v6" />
      </g>
    </svg>
  )
}
