import { type ReactNode, useEffect, useRef, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { Icon, type IconName } from '../parts/icons.tsx'
import { Mark } from './mark.tsx'
import { signOut, useMe } from './session.ts'
import { ThemeSwitch } from './theme.tsx'
import { Tips } from './tips.tsx'

/** The views, in the order in which people look. */
const places: readonly (readonly [to: string, name: string, icon: IconName])[] = [
  ['/', 'Needs attention', 'attention'],
  ['/expiry', 'Expiry', 'expiry'],
  ['/hosts', 'Hosts', 'hosts'],
  ['/certificates', 'Certificates', 'certificates'],
  ['/foreign', 'Inventory', 'search'],
  ['/clusters', 'Clusters', 'clusters'],
  ['/authorities', 'Authorities', 'authorities'],
  ['/audit', 'Audit', 'audit'],
]

/** What is around every view: where one can go, who is signed in, and how it looks. */
export function Frame({ children }: { readonly children: ReactNode }) {
  const [path] = useLocation()
  const me = useMe()
  const [open, setOpen] = useState(false)
  const main = useRef<HTMLElement>(null)
  const arrived = useRef(path)
  useEffect(() => {
    if (arrived.current === path) return
    arrived.current = path
    setOpen(false)
    // Who cannot see it is told that another view is there, and goes on from its title.
    main.current?.focus()
    window.scrollTo(0, 0)
  }, [path])
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="side">
        <div className="side-head">
          <Link href="/" className="home">
            <Mark />
          </Link>
          <button
            type="button"
            className="button button-plain menu"
            aria-expanded={open}
            aria-controls="places"
            onClick={() => setOpen(!open)}
          >
            <Icon name="menu" />
            Menu
          </button>
        </div>
        <div id="places" className={open ? 'places places-open' : 'places'}>
          <nav aria-label="Views">
            {places
              .filter(([to]) => to !== '/foreign' || me.tenant === null)
              .map(([to, name, icon]) => (
                <Link
                  key={to}
                  href={to}
                  className="place"
                  aria-current={isAt(path, to) ? 'page' : undefined}
                >
                  <Icon name={icon} />
                  {name}
                </Link>
              ))}
            <Link
              href="/ask"
              className="place place-ask"
              aria-current={isAt(path, '/ask') ? 'page' : undefined}
            >
              <Icon name="ask" />
              Ask for a host
            </Link>
          </nav>
          <WhoAmI />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
      <Tips />
    </div>
  )
}

function isAt(path: string, place: string): boolean {
  return place === '/' ? path === '/' : path === place || path.startsWith(`${place}/`)
}

function WhoAmI() {
  const me = useMe()
  return (
    <div className="who">
      <p>
        <strong>{me.name}</strong>
        <span className="quiet">
          {me.role} of {me.tenant ?? 'the platform'}
        </span>
      </p>
      <ThemeSwitch />
      <button
        type="button"
        className="button button-plain"
        onClick={async () => {
          await signOut()
          // Whatever was answered is gone with the page.
          location.assign('/console/')
        }}
      >
        <Icon name="out" />
        Sign out
      </button>
    </div>
  )
}
