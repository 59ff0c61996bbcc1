import { useState } from 'react'
import { Icon } from '../parts/icons.tsx'

const kept = 'gatesmith-theme'
const themes = ['system', 'light', 'dark'] as const
type Theme = (typeof themes)[number]

function themeOf(text: string | null): Theme {
  return themes.find((each) => each === text) ?? 'system'
}

/** Shows the console as was chosen last time in this browser. */
export function applyTheme(theme: Theme = themeOf(localStorage.getItem(kept))): void {
  document.documentElement.dataset.theme = theme
}

/** Light, dark, or as the system has it. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState(() => themeOf(localStorage.getItem(kept)))
  return (
    <label className="theme">
      <Icon name="sun" />
      <span className="unseen">Colours</span>
      <select
        value={theme}
        onChange={(event) => {
          const chosen = themeOf(event.target.value)
          localStorage.setItem(kept, chosen)
          applyTheme(chosen)
          setTheme(chosen)
        }}
      >
        <option value="system">As the system</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  )
}
