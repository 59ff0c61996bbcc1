import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemIn } from '../../../src/acme/client/refusal.ts'

// What a CA says is told in one sentence.

const type = 'urn:ietf:params:acme:error:userActionRequired'

test('where a person is sent is told, and what only marks one answer is not', () => {
  const detail = 'The terms have changed'
  const said = (instance: string) => problemIn({ type, detail, instance })
  assert.deepEqual(said('https://ca.test/terms/2'), {
    problem: 'userActionRequired',
    detail: `${detail}; go to https://ca.test/terms/2`,
  })
  assert.equal(said('urn:uuid:6c1a').detail, detail)
  assert.equal(said('javascript:alert(1)').detail, detail)
})
