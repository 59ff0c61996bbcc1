import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import Type from 'typebox'
import Value from 'typebox/value'
import { until } from '../../support/process.ts'
import type { Random } from './random.ts'

// What clients ask for while everything is killed: hosts come, change and go, client certificates are
// ordered and revoked. What was asked and not answered is asked again at the end, as any client would.

const Ordered = Type.Object({ id: Type.String(), pem: Type.String() })
/** A certificate as it was answered. */
export type Ordered = Type.Static<typeof Ordered>

/** An order of a certificate, by its Idempotency-Key. */
type Order = { answer: Ordered | undefined; revoke: boolean; revoked: boolean }

/** The last thing that was asked of a host; null: to remove it. */
type Wish = { readonly spec: object | null; answered: boolean }

/** What was asked for. */
export type Asked = {
  readonly hosts: Map<string, Wish>
  readonly orders: Map<string, Order>
}

/** How to reach the servers, any of which may be away. */
export type Reach = { readonly urls: readonly string[]; readonly token: string }

/** One request to one server; undefined when no answer came, or one that says to come again. */
export async function send(
  { urls, token }: Reach,
  request: { method: string; path: string; body?: object; key?: string },
  random: Random,
): Promise<{ readonly status: number; readonly body: unknown } | undefined> {
  const { method, path, body, key } = request
  try {
    const answer = await fetch(`${random.one(urls)}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    })
    const text = await answer.text()
    if (answer.status >= 500 || answer.status === 429) return undefined
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  } catch {
    return undefined
  }
}

const certificates = '/v1/tenants/shop/certificates'
const hostPath = (name: string) => `/v1/tenants/shop/hosts/${name}`

/** Asks for this and that until it is over, each host in one lane, so that its last wish is known. */
export async function load(
  reach: Reach,
  options: {
    readonly asked: Asked
    readonly random: Random
    readonly clusters: readonly string[]
    readonly suffix: string
    readonly isOver: () => boolean
  },
): Promise<void> {
  const { asked, random, clusters, suffix, isOver } = options
  const lane = async (number: number) => {
    for (let turn = 0; !isOver(); turn++) {
      if (random.chance(25)) await order(reach, asked, { key: `${number}-${turn}`, random })
      else {
        const name = `h${number}-${random.whole(0, 5)}${suffix}`
        const spec = random.chance(25) ? null : specOf(random, clusters)
        const wish: Wish = { spec, answered: false }
        asked.hosts.set(name, wish)
        await wishFor(reach, name, { wish, random })
      }
      await delay(random.whole(0, 150))
    }
  }
  await Promise.all([0, 1, 2, 3].map(lane))
}

function specOf(random: Random, clusters: readonly string[]): object {
  const routes = [
    { to: { service: 'httpbin', namespace: 'test', port: 80 } },
    { match: { exact: '/hello' }, to: { service: 'helloworld', namespace: 'test', port: 5000 } },
  ]
  const some = clusters.filter(() => random.chance(60))
  return {
    tls: { mode: random.one(['SIMPLE', 'MUTUAL']) },
    http: random.one(['redirect', 'off']),
    certificate: { organization: random.one(['one Inc.', 'two Inc.']) },
    routes: random.chance(50) ? routes : routes.slice(0, 1),
    clusters: some.length > 0 ? some : clusters.slice(0, 1),
  }
}

async function wishFor(
  reach: Reach,
  name: string,
  { wish, random }: { wish: Wish; random: Random },
): Promise<void> {
  const path = hostPath(name)
  const request =
    wish.spec === null ? { method: 'DELETE', path } : { method: 'PUT', path, body: wish.spec }
  const answer = await send(reach, request, random)
  if (!answer) return
  // A host that is being removed is there until it is off its clusters, and is asked for again later.
  if (answer.status === 409) return
  const expected = wish.spec === null ? [202, 404] : [200, 201]
  assert.ok(expected.includes(answer.status), `${name}: ${JSON.stringify(answer)}`)
  wish.answered = true
}

async function order(
  reach: Reach,
  asked: Asked,
  { key, random }: { key: string; random: Random },
): Promise<void> {
  const known = asked.orders.get(key)
  const wanted = known ?? { answer: undefined, revoke: random.chance(50), revoked: false }
  asked.orders.set(key, wanted)
  const body = { profile: 'client', subject: { commonName: `client ${key}` } }
  const made = await send(reach, { method: 'POST', path: certificates, body, key }, random)
  if (!made) return
  assert.equal(made.status, 201, JSON.stringify(made))
  const answer = Value.Parse(Ordered, Value.Clean(Ordered, made.body))
  if (wanted.answer) assert.deepEqual(answer, wanted.answer)
  wanted.answer = answer
  if (!wanted.revoke || wanted.revoked) return
  const path = `${certificates}/${answer.id}/revoke`
  const gone = await send(reach, { method: 'POST', path, body: { reason: 'superseded' } }, random)
  if (!gone) return
  assert.equal(gone.status, 200, JSON.stringify(gone))
  wanted.revoked = true
}

/** Asks again for everything to which no answer came. */
export async function askAgain(reach: Reach, asked: Asked, random: Random): Promise<void> {
  for (const [name, wish] of asked.hosts) {
    await until(`${name} is answered`, async () => {
      if (!wish.answered) await wishFor(reach, name, { wish, random })
      return wish.answered ? true : undefined
    })
  }
  for (const [key, wanted] of asked.orders) {
    await until(`order ${key} is answered`, async () => {
      await order(reach, asked, { key, random })
      return wanted.answer && (wanted.revoked || !wanted.revoke) ? true : undefined
    })
  }
}
