import { scaleBand, scaleLinear } from 'd3-scale'
import { counted } from '../shared/when.ts'
import { useWidth } from '../shared/width.ts'
import { type Step, stepName } from './steps.ts'

const height = 260
const margin = { top: 12, right: 8, bottom: 28, left: 36 } as const

/** When certificates end: a bar for each day or week, what renews by itself below, what does not on top of it. Each bar leads to its
 *  certificates. */
export function Chart({
  steps,
  by,
  hrefOf,
}: {
  readonly steps: readonly Step[]
  readonly by: 'day' | 'week'
  readonly hrefOf: (step: Step) => string
}) {
  const [box, width] = useWidth<HTMLDivElement>()
  const highest = Math.max(4, ...steps.map(({ renewing, ending }) => renewing + ending))
  const x = scaleBand<number>(
    steps.map(({ from }) => from.getTime()),
    [margin.left, Math.max(margin.left + 1, width - margin.right)],
  ).padding(steps.length > 60 ? 0.1 : 0.25)
  const y = scaleLinear([0, highest], [height - margin.bottom, margin.top]).nice()
  const every = Math.ceil(steps.length / Math.max(2, Math.floor(width / 90)))
  return (
    <div className="chart" ref={box}>
      {width === 0 ? null : (
        <svg role="group" width={width} height={height} aria-label="When certificates end">
          <g aria-hidden="true">
            {y
              .ticks(4)
              .filter(Number.isInteger)
              .map((tick) => (
                <g key={tick}>
                  <line
                    className="rule"
                    x1={margin.left}
                    x2={width - margin.right}
                    y1={y(tick)}
                    y2={y(tick)}
                  />
                  <text x={margin.left - 6} y={y(tick) + 4} textAnchor="end">
                    {tick.toLocaleString('en-GB')}
                  </text>
                </g>
              ))}
            {steps
              .filter(({ from }, at) => at % every === 0 && (x(from.getTime()) ?? 0) < width - 60)
              .map(({ from }) => (
                <text key={from.getTime()} x={x(from.getTime())} y={height - 8}>
                  {tickText(from, by)}
                </text>
              ))}
          </g>
          {steps
            .filter(({ renewing, ending }) => renewing + ending > 0)
            .map((step) => (
              <Bar
                key={step.from.getTime()}
                step={step}
                name={stepName(step, by)}
                href={hrefOf(step)}
                at={{ x: x(step.from.getTime()) ?? 0, width: x.bandwidth() }}
                y={y}
              />
            ))}
        </svg>
      )}
    </div>
  )
}

function Bar({
  step: { renewing, ending },
  name,
  href,
  at,
  y,
}: {
  readonly step: Step
  readonly name: string
  readonly href: string
  readonly at: { readonly x: number; readonly width: number }
  readonly y: (count: number) => number
}) {
  const says = `${name}: ${counted(renewing + ending, 'certificate')} — ${counted(renewing, 'renews', 'renew')} by ${renewing === 1 ? 'itself' : 'themselves'}, ${counted(ending, 'does', 'do')} not`
  return (
    <a href={href} aria-label={says} data-tip={says} className="bar">
      <rect
        className="bar-ground"
        {...at}
        y={margin.top}
        height={height - margin.bottom - margin.top}
      />
      <rect className="bar-renewing" {...at} y={y(renewing)} height={y(0) - y(renewing)} />
      <rect className="bar-ending" {...at} y={y(renewing + ending)} height={y(0) - y(ending)} />
    </a>
  )
}

function tickText(at: Date, by: 'day' | 'week'): string {
  const year = by === 'week' ? ({ year: '2-digit' } as const) : {}
  return new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    ...year,
    timeZone: 'UTC',
  }).format(at)
}
