import { exampleId, examplePem } from '../../src/shared/schema.ts'
import { isRecord } from '../../src/shared/shape.ts'

// What of an answer differs from run to run, and what stands for it in an example.

const made = '2026-11-26T20:15:23.000Z'
const ends = '2027-02-24T20:15:23.000Z'

/** Members that tell when something ends. */
const ending = /^(notAfter|expiresAt|end|until|deadline|formerUntil|soonestEnd|nextUpdate|renewAt)$/

/** Milliseconds that something took, and what is left of a limit. */
const numbers = new Map([
  ...([
    ['connect', 1.4],
    ['handshake', 6.2],
    ['firstByte', 3.1],
    ['milliseconds', 12],
  ] as const),
  ['remaining', 59_987],
])

const rules: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g, examplePem],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, exampleId],
  [/gsm_[\w-]{20,}/g, 'gsm_…'],
  [/gsm_[\w-]{4,}/g, 'gsm_7Fq2'],
  [/whsec_[\w+/=-]+/g, 'whsec_…'],
  [/\b127\.0\.0\.1(:\d+)?/g, '192.0.2.1$1'],
  [/\b192\.0\.2\.1:\d+/g, '192.0.2.1:8443'],
  [/\b[0-9a-f]{64}\b/g, '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  [/\b[0-9a-f]{30,40}\b/g, '5d1f0c2a9b7e4638a1c5e0f2d4b69788'],
]

/** An answer as an example has it: what differs from run to run is always the same, and of a list the first stands
 *  for all. */
export function settled(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) {
    const some = value.some(isRecord) ? value.slice(0, 1) : value
    return some.map((each) => settled(each, name))
  }
  if (isRecord(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, settled(each, key)]))
  }
  if (typeof value === 'number') return numbers.get(name) ?? value
  return typeof value === 'string' ? settledText(value, name) : value
}

function settledText(text: string, name: string): string {
  if (name === 'hmacKey') return '…'
  if (name.startsWith('thumbprint')) return 'WVx02FqxnQ2_DcuOumzewlUIVV5jrOplzrpb5Gt7bDM'
  const told = text.replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, ending.test(name) ? ends : made)
  return rules.reduce((all, [pattern, stands]) => all.replace(pattern, stands), told)
}
