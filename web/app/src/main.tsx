import { render } from 'preact'
import { takeInvite } from './access'
import { App } from './app'
import './styles/base.css'
import './styles/parts.css'
import './styles/pages.css'
import './styles/scrubber.css'

takeInvite()
render(<App />, document.getElementById('app')!)
