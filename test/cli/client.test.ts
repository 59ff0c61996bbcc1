import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerOf, createClient, each, ProblemError, UnreachableError } from '@gatesmith/client'

/** A client whose requests get these answers, one after the other, and what it sent. */
function clientOf(answers: readonly (Response | Error)[]) {
  const sent: Request[] = []
  const left = [...answers]
  const client = createClient({
    server: 'https://gatesmith.test/',
    token: 't',
    fetch: async (request) => {
      sent.push(request)
      const answer = left.shift() ?? Response.json({ items: [], nextCursor: null })
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  return { client, sent }
}

const refusal = (type: string, status: number, headers: Record<string, string> = {}) =>
  Response.json(
    { type: `https://gatesmith.dev/problems/${type}`, title: 'No', status, detail: 'Not so' },
    { status, headers },
  )
const now = { 'retry-after': '0' }
const made = () => Response.json({ id: 'x' }, { status: 201 })
const issue = { params: { path: { tenant: 'shop' } }, body: { profile: 'client' as const } }

test('a request that is sent again is the same one: key and body', async () => {
  const answers = [new TypeError('lost'), refusal('busy', 503, now), made()]
  const { client, sent } = clientOf(answers)
  await answerOf(client.POST('/v1/tenants/{tenant}/certificates', issue))
  assert.equal(sent.length, 3)
  assert.equal(new Set(sent.map(({ headers }) => headers.get('idempotency-key'))).size, 1)
  assert.match(sent[0]?.headers.get('idempotency-key') ?? '', /^[0-9a-f-]{36}$/)
  for (const request of sent) assert.deepEqual(await request.json(), { profile: 'client' })
})

test('what may have been done is not sent again where twice is not once; what was not done is', async () => {
  const path = { tenant: 'shop', id: 'x' }
  const revoke = '/v1/tenants/{tenant}/certificates/{id}/revoke'
  const lost = clientOf([new TypeError('lost')])
  await assert.rejects(lost.client.POST(revoke, { params: { path }, body: {} }), UnreachableError)
  assert.equal(lost.sent.length, 1)
  const limited = clientOf([refusal('rate-limited', 429, now), made()])
  await limited.client.POST(revoke, { params: { path }, body: {} })
  assert.equal(limited.sent.length, 2)
})

test('a refusal is an error with its type, at once where it says to come back much later', async () => {
  const { client, sent } = clientOf([refusal('quota-exceeded', 429, { 'retry-after': '86400' })])
  await assert.rejects(client.POST('/v1/tenants/{tenant}/certificates', issue), (error) => {
    assert.ok(error instanceof ProblemError)
    assert.equal(error.type, 'quota-exceeded')
    assert.equal(error.retryAfterSeconds, 86_400)
    assert.equal(error.message, 'Not so')
    return true
  })
  assert.equal(sent.length, 1)
})

test('a list is read page by page, to its end and no further', async () => {
  const page = (name: string, nextCursor: string | null) =>
    Response.json({ items: [{ name }], nextCursor })
  const { client, sent } = clientOf([page('a', 'two'), page('b', null)])
  const names: string[] = []
  for await (const { name } of each((query) => client.GET('/v1/tenants', { params: { query } }))) {
    names.push(name)
  }
  assert.deepEqual(names, ['a', 'b'])
  assert.deepEqual(
    sent.map(({ url }) => new URL(url).search),
    ['', '?cursor=two'],
  )
})
