// Line icons, drawn here so that nothing is fetched from elsewhere. They are decoration: the words beside them say it.

import type { ComponentChildren } from 'preact'

const icon = (children: ComponentChildren) => () => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    {children}
  </svg>
)

export const MicIcon = icon(<path d="M12 4a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V7a3 3 0 0 1 3-3ZM6 11.5a6 6 0 0 0 12 0M12 17.5V21" />)
export const MicOffIcon = icon(<path d="M15 9.5V7a3 3 0 0 0-5.8-1.1M9 10v2a3 3 0 0 0 4.6 2.5M6 11.5a6 6 0 0 0 9.6 4.8M18 11.5a6 6 0 0 1-.4 2.2M12 17.5V21M4 4l16 16" />)
export const FileIcon = icon(<path d="M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 9 18ZM19 16a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 19 16Z" />)
export const EarIcon = icon(<path d="M4 13v-1a8 8 0 0 1 16 0v1M4 13h3v6H5.5A1.5 1.5 0 0 1 4 17.5ZM20 13h-3v6h1.5a1.5 1.5 0 0 0 1.5-1.5Z" />)
export const VolumeIcon = icon(<path d="M5 10v4h3l4 3.5v-11L8 10ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11" />)
export const LeaveIcon = icon(<path d="M14 5H6.5A1.5 1.5 0 0 0 5 6.5v11A1.5 1.5 0 0 0 6.5 19H14M10 12h10M17 8.5l3.5 3.5-3.5 3.5" />)
export const PlayIcon = icon(<path d="M8 5.5v13l10.5-6.5Z" />)
export const PauseIcon = icon(<path d="M9 6v12M15 6v12" />)
export const SaveIcon = icon(<path d="M12 4v11M7.5 10.5 12 15l4.5-4.5M5 19.5h14" />)
export const RecordIcon = icon(
  <>
    <circle cx="12" cy="12" r="8" />
    <circle class="solid" cx="12" cy="12" r="4" />
  </>,
)
export const RewindIcon = icon(<path d="M4.5 12a7.5 7.5 0 1 0 2.3-5.4M4.5 4.5v3.6h3.6M12 8v4.3l2.8 1.7" />)
export const BackIcon = icon(<path d="M11 7 6 12l5 5M18 7l-5 5 5 5" />)
export const ForwardIcon = icon(<path d="m13 7 5 5-5 5M6 7l5 5-5 5" />)
export const VanishIcon = icon(<path d="M4 12h2.5M9 9v6M12.5 6.5v11M16 10v4M19.5 12h.5" />)
export const WarnIcon = icon(<path d="M12 4.5 21 19.5H3ZM12 10v4.5M12 17.2v.1" />)
export const ShareIcon = icon(<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1" />)
