/** The pictures of the console: drawn in lines of 16 by 16, and said by the words beside them. */
const paths = {
  attention: 'M8 2.2 14.3 13.2H1.7ZM8 6.4v3.2M8 11.4v.1',
  expiry: 'M2.5 4h11v9.5h-11ZM2.5 7h11M5.5 2.2v2.6M10.5 2.2v2.6M8 9v2.2l1.4.8',
  hosts: 'M2.2 3h11.6v4H2.2ZM2.2 9h11.6v4H2.2ZM4.6 5h.1M4.6 11h.1',
  certificates: 'M2.5 2.5h11v7.5h-11ZM5 5h6M5 7.2h3.2M9.6 10v4l1.6-1 1.6 1v-4',
  clusters: 'M8 1.8 13.6 5v6L8 14.2 2.4 11V5ZM8 8v6.2M8 8 2.4 5M8 8l5.6-3',
  authorities: 'M8 1.8 13.4 4v4.2c0 3-2.2 5-5.4 6-3.2-1-5.4-3-5.4-6V4ZM5.8 8l1.6 1.6L10.4 6.4',
  audit: 'M3.2 1.8h6.6l3 3v9.4H3.2ZM9.6 1.8V5h3.2M5.4 8h5.2M5.4 10.8h5.2',
  ask: 'M8 3v10M3 8h10',
  good: 'M3.2 8.4 6.6 11.8 12.8 4.6',
  wait: 'M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 4.8V8l2.2 1.6',
  bad: 'M4 4l8 8M12 4l-8 8',
  clash: 'M8 2.2 14.3 13.2H1.7ZM8 6.4v3.2M8 11.4v.1',
  off: 'M3.4 8h9.2',
  search: 'M7 2.4a4.6 4.6 0 1 0 0 9.2 4.6 4.6 0 0 0 0-9.2ZM10.4 10.4 14 14',
  menu: 'M2.4 4.4h11.2M2.4 8h11.2M2.4 11.6h11.2',
  sun: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.4v1.8M8 12.8v1.8M1.4 8h1.8M12.8 8h1.8M3.3 3.3l1.3 1.3M11.4 11.4l1.3 1.3M12.7 3.3l-1.3 1.3M4.6 11.4l-1.3 1.3',
  up: 'M4 10l4-4.4L12 10',
  down: 'M4 6l4 4.4L12 6',
  out: 'M6.4 2.4H2.6v11.2h3.8M7 8h6.6M10.8 5 13.8 8l-3 3',
  next: 'M6 3.6 10.4 8 6 12.4',
} as const

/** The name of a picture. */
export type IconName = keyof typeof paths

/** A picture; whoever cannot see it misses nothing. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
