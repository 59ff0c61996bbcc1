import { useNow } from '../shared/clock.ts'
import { dateText, endsIn, happened, localText, nearness, utcText } from '../shared/when.ts'

type Props = {
  /** RFC 3339, as the API tells it. */
  readonly at: string | null | undefined
  readonly none?: string
}

/** What a moment is exactly, shown on hover and focus: in the zone of who reads, and in UTC. */
function exactly(at: Date): string {
  return `${localText(at)}\n${utcText(at)}`
}

/** When something ends: how long that is from now, coloured by how near it is, and the day below. */
export function Ends({ at, none = '—', brief = false }: Props & { readonly brief?: boolean }) {
  const now = useNow()
  if (!at) return <span className="quiet">{none}</span>
  const end = new Date(at)
  return (
    <time
      className={`time ends-${nearness(end, now)}`}
      dateTime={at}
      data-tip={exactly(end)}
      tabIndex={0}
    >
      {endsIn(end, now)}
      {brief ? null : <span className="below">{dateText(end)}</span>}
    </time>
  )
}

/** When something happened, as long ago as that is. */
export function Ago({ at, none = '—' }: Props) {
  const now = useNow()
  if (!at) return <span className="quiet">{none}</span>
  const then = new Date(at)
  return (
    <time className="time" dateTime={at} data-tip={exactly(then)} tabIndex={0}>
      {happened(then, now)}
    </time>
  )
}

/** A moment in full. */
export function Moment({ at, none = '—' }: Props) {
  if (!at) return <span className="quiet">{none}</span>
  const then = new Date(at)
  return (
    <time className="time" dateTime={at} data-tip={utcText(then)} tabIndex={0}>
      {localText(then)}
    </time>
  )
}
