import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostsInText, namesIn, subjectPolicyFaults } from '../../src/tenants/subject.ts'
import type { Policy } from '../../src/tenants/tenant.ts'
import type { DistinguishedName } from '../../src/x509/names/attributes.ts'

const claims = [
  { tenantId: 'own', domain: 'shop.test' },
  { tenantId: 'other', domain: 'rival.test' },
  { tenantId: 'other', domain: 'sub.shop.test' },
]
const holders = [
  { tenantId: 'own', name: 'shop' },
  { tenantId: 'other', name: 'rival' },
  { tenantId: 'other', name: 'rival & söhne' },
  { tenantId: 'own', name: 'twins' },
  { tenantId: 'other', name: 'twins' },
]

function fieldsOf(subject: DistinguishedName, policy: Pick<Policy, 'subject' | 'wildcards'> = {}) {
  const names = namesIn(subject)
  const rules = {
    tenantId: 'own',
    policy,
    claims,
    holders: holders.filter(({ name }) => names.includes(name)),
  }
  return subjectPolicyFaults(subject, rules, ['www.shop.test']).map(({ field }) => field)
}

test('a subject may be anything that is not somebody else’s', () => {
  const good: readonly DistinguishedName[] = [
    { commonName: 'laptop' },
    { commonName: 'laptop of Ada Lovelace' },
    { commonName: 'client.shop.test', organization: 'client organization' },
    { commonName: 'WWW.shop.test', organization: 'httpbin organization' },
    { commonName: 'ada@shop.test' },
    { commonName: 'Ｌaptop' },
    { commonName: 'v1.2' },
    { organization: 'example Inc.', organizationalUnit: 'Ｒ＆Ｄ', locality: 'Zürich' },
    { organization: 'Shop' },
    { organization: 'twins' },
    { organization: 'my system: the best' },
    { country: 'DE', state: 'rival' },
    { organization: '株式会社Shop' },
    { organization: 'Общество Shop', organizationalUnit: 'Ελλάδα' },
    { organization: 'µMeter' },
    { commonName: '*.fine.shop.test' },
    { commonName: 'C++ at 10:30' },
  ]
  for (const subject of good) assert.deepEqual(fieldsOf(subject), [], JSON.stringify(subject))
})

test('names of Kubernetes, of other tenants and of other tenants’ hosts are refused in every spelling', () => {
  const bad: readonly DistinguishedName[] = [
    { organization: 'system:masters' },
    { organization: 'System:Masters' },
    { organization: 'ｓystem：masters' },
    { organization: ' system:masters' },
    { organizationalUnit: 'system:nodes' },
    { commonName: 'system:kube-controller-manager' },
    { organization: 'kubeadm:cluster-admins' },
    { organization: 'rival' },
    { organization: 'RIVAL ' },
    { organization: 'ｒival' },
    { organization: 'Rival  & So\u0308hne' },
    { organizationalUnit: 'rival' },
    { commonName: 'rival' },
    { commonName: 'a.rival.test' },
    { commonName: 'a.rival.test.' },
    { commonName: 'A.RIVAL.TEST' },
    { commonName: 'ａ.rival.test' },
    { commonName: 'a。rival。test' },
    { commonName: 'a．rival．test' },
    { commonName: ' a.rival.test ' },
    { commonName: 'a_b.rival.test' },
    { commonName: '*.rival.test' },
    { commonName: '*.shop.test' },
    { commonName: 'x.sub.shop.test' },
    { commonName: 'ada@rival.test' },
    { commonName: 'https://a.rival.test/' },
    { commonName: 'the one of a.rival.test' },
    { commonName: 'nobodys.example' },
    { commonName: 'bücher.example' },
    { commonName: 'rіval.test' },
    { commonName: '10.0.0.1' },
    { commonName: '2001:db8::1' },
    { commonName: 'at [::1]:443' },
    // What reads as another's host, in front of one's own.
    { commonName: 'rival.test\u2044x.shop.test' },
    { commonName: 'rival.test\u2215x.shop.test' },
    { commonName: 'rival.test?.shop.test' },
    { commonName: 'rival.test#.shop.test' },
    { commonName: 'rival.test%2f.shop.test' },
    { commonName: 'rival.test!x.shop.test' },
    { commonName: 'rival.test*.shop.test' },
    { commonName: 'rival.test\u00b7x.shop.test' },
    { organization: 'riv\u0430l' },
    { organizationalUnit: '\u0455ystem:masters' },
    { commonName: 'r\u03b9val' },
  ]
  for (const subject of bad) {
    assert.equal(fieldsOf(subject).length, 1, JSON.stringify(subject))
  }
})

test('characters that nobody sees are refused in every field', () => {
  for (const field of ['commonName', 'organization', 'organizationalUnit', 'locality', 'state']) {
    for (const text of [
      'lap\u200btop',
      '\u00adlaptop',
      'laptop\u202e',
      'a\ufeffb',
      'laptop\u2800',
    ]) {
      assert.deepEqual(fieldsOf({ [field]: text }), [`/subject/${field}`], JSON.stringify(text))
    }
  }
})

test('a policy lists what a field may be, and nothing else is', () => {
  const subject = { organization: ['system:masters', 'shop'], country: ['DE'], commonName: [] }
  assert.deepEqual(fieldsOf({ organization: 'system:masters', country: 'DE' }, { subject }), [])
  assert.deepEqual(fieldsOf({ organization: 'Shop', country: 'FR' }, { subject }), [
    '/subject/country',
    '/subject/organization',
  ])
  assert.deepEqual(fieldsOf({ commonName: 'laptop' }, { subject }), ['/subject/commonName'])
  // What the certificate is for stands in its commonName all the same.
  assert.deepEqual(fieldsOf({ commonName: 'www.shop.test' }, { subject }), [])
  assert.deepEqual(fieldsOf({ commonName: '*.fine.shop.test' }, { wildcards: false }), [
    '/subject/commonName',
  ])
})

test('host names are found in whatever text they stand', () => {
  assert.deepEqual(hostsInText('see https://A.test:443/x, or b.test.'), ['a.test', 'b.test'])
  assert.deepEqual(hostsInText('Acme Inc. v1.2 and 3.5'), [])
})
