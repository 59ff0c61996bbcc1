import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { at, type Fields, fields, type Json, list, text } from '../../sandbox/json.ts'
import { gateway, pathOf, startTestCluster, type TestCluster } from './support.ts'

const applying = { 'content-type': 'application/apply-patch+yaml' }

describe('server-side apply', () => {
  let cluster: TestCluster
  let count = 0
  before(async () => {
    cluster = await startTestCluster()
  })
  after(() => cluster.stop())

  const fresh = (): ((data: Fields, metadata?: Fields) => Fields) => {
    const name = `applied-${count++}`
    return (data, metadata = {}) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'test', ...metadata },
      data,
    })
  }
  const as = (manager: string, object: Fields, more = '') =>
    cluster.call('PATCH', `${pathOf(object)}?fieldManager=${manager}${more}`, object, applying)
  const owners = (object: Json): string[] =>
    list(object, 'metadata', 'managedFields').map((each) => {
      const keys = Object.keys(fields(each, 'fieldsV1', 'f:data')).filter((key) => key !== '.')
      return `${text(each, 'manager')} ${text(each, 'operation')} ${keys.sort().join(',')}`
    })

  test('creates, and the same again changes nothing', async () => {
    const object = fresh()
    const created = await as('a', object({ x: '1' }))
    assert.equal(created.status, 201)
    const again = await as('a', object({ x: '1' }))
    assert.equal(again.status, 200)
    assert.deepEqual(again.body, created.body)
    assert.deepEqual(owners(again.body), ['a Apply f:x'])
  })

  test('of a resourceVersion creates what is not there, and changes nothing of another', async () => {
    const object = fresh()
    const old = { resourceVersion: '1' }
    const created = await as('a', object({ x: '1' }, old))
    assert.equal(created.status, 201)
    assert.notEqual(text(created.body, 'metadata', 'resourceVersion'), '1')
    const again = await as('a', object({ x: '2' }, old))
    assert.deepEqual([again.status, text(again.body, 'reason')], [409, 'Conflict'])
    assert.deepEqual((await as('a', object({ x: '1' }))).body, created.body)
  })

  test('takes away what its manager no longer applies, and nothing else', async () => {
    const object = fresh()
    await as('a', object({ x: '1', y: '1' }, { labels: { one: '1' } }))
    await as('b', object({ z: '1' }))
    const reply = await as('a', object({ x: '1' }))
    assert.deepEqual(at(reply.body, 'data'), { x: '1', z: '1' })
    assert.deepEqual(fields(reply.body, 'metadata', 'labels'), {})
  })

  test('two managers may hold one value; it goes when neither applies it', async () => {
    const object = fresh()
    await as('a', object({ x: '1', y: '1' }))
    assert.equal((await as('b', object({ x: '1', z: '1' }))).status, 200)
    const one = await as('a', object({ y: '1' }))
    assert.deepEqual(at(one.body, 'data'), { x: '1', y: '1', z: '1' })
    const none = await as('b', object({ z: '1' }))
    assert.deepEqual(at(none.body, 'data'), { y: '1', z: '1' })
  })

  test('another manager’s value is a conflict that names it and each field', async () => {
    const object = fresh()
    await as('a', object({ x: '1', y: '1', z: '1' }))
    const refused = await as('b', object({ x: '2', y: '2', z: '1' }))
    assert.equal(refused.status, 409)
    assert.equal(text(refused.body, 'reason'), 'Conflict')
    assert.match(
      text(refused.body, 'message'),
      /^Apply failed with 2 conflicts: conflicts with "a":\n- \.data\.x\n- \.data\.y$/,
    )
    assert.deepEqual(list(refused.body, 'details', 'causes'), [
      { reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.data.x' },
      { reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.data.y' },
    ])
    const live = await cluster.call('GET', pathOf(object({})))
    assert.deepEqual(at(live.body, 'data'), { x: '1', y: '1', z: '1' })
  })

  test('force takes the fields over, and the other manager has lost them', async () => {
    const object = fresh()
    await as('a', object({ x: '1', y: '1' }))
    const forced = await as('b', object({ x: '2' }), '&force=true')
    assert.equal(forced.status, 200)
    assert.deepEqual(owners(forced.body), ['a Apply f:y', 'b Apply f:x'])
    const reply = await as('a', object({ y: '1' }))
    assert.deepEqual(at(reply.body, 'data'), { x: '2', y: '1' })
  })

  test('an edit by other means owns what it changed, so that apply finds the drift', async () => {
    const object = fresh()
    await as('a', object({ x: '1' }))
    const patch = { data: { x: '2' } }
    const headers = { 'content-type': 'application/merge-patch+json', 'user-agent': 'kubectl/v1' }
    const edited = await cluster.call('PATCH', pathOf(object({})), patch, headers)
    assert.deepEqual(owners(edited.body), ['kubectl Update f:x'])
    const refused = await as('a', object({ x: '1' }))
    assert.equal(refused.status, 409)
    assert.match(
      text(refused.body, 'message'),
      /^Apply failed with 1 conflict: conflict with "kubectl" using v1: \.data\.x$/,
    )
  })

  test('Istio’s lists belong to one manager as a whole', async () => {
    const server = (name: string): Json => ({
      port: { number: 80, name, protocol: 'HTTP' },
      hosts: [`${name}.example.com`],
    })
    await cluster.apply(gateway('shared', [server('a')]), 'fieldManager=a')
    const refused = await as('b', gateway('shared', [server('a'), server('b')]))
    assert.equal(refused.status, 409)
    assert.match(text(refused.body, 'message'), /conflict with "a": \.spec\.servers$/)
  })

  test('the ports of a Service are merged by port and protocol', async () => {
    const service = (ports: readonly Json[]): Fields => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'ported', namespace: 'test' },
      spec: { ports },
    })
    await as('a', service([{ name: 'one', port: 80, targetPort: 8080 }]))
    const both = await as('b', service([{ name: 'two', port: 81, protocol: 'TCP' }]))
    const numbers = (reply: Json) => list(reply, 'spec', 'ports').map((port) => at(port, 'port'))
    assert.deepEqual(numbers(both.body), [80, 81])
    const refused = await as(
      'b',
      service([
        { name: 'two', port: 81 },
        { name: 'other', port: 80 },
      ]),
    )
    assert.match(text(refused.body, 'message'), /\.spec\.ports\[port=80,protocol="TCP"\]\.name$/)
    const one = await as('a', service([{ name: 'new', port: 82 }]))
    assert.deepEqual(numbers(one.body).toSorted(), [81, 82])
  })

  test('the body may be YAML, and has to say what it is', async () => {
    const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  x: "1"\n'
    const path = '/api/v1/namespaces/test/configmaps/yaml?fieldManager=a'
    const reply = await cluster.call('PATCH', path, body, applying)
    assert.deepEqual(at(reply.body, 'data'), { x: '1' })
    const managed = { ...fields(reply.body) }
    assert.equal((await cluster.call('PATCH', path, managed, applying)).status, 400)
  })
})
