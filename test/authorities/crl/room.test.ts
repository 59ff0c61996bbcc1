import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alarmOf, fitting, listRoom, pemOctets } from '../../../src/authorities/crl/room.ts'
import { toPem } from '../../../src/x509/der/pem.ts'

test('the length of a list in PEM is known before it is written', () => {
  for (const length of [0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 1000, 4096]) {
    assert.equal(pemOctets(length), toPem('X509 CRL', Buffer.alloc(length)).length, String(length))
  }
})

test('a list is near its room from 70 %, and over it beyond', () => {
  const der = (octets: number) => Math.floor((octets * 3) / 4 / (1 + 1 / 64))
  for (const [octets, expected] of [
    [0.69 * listRoom, null],
    [0.71 * listRoom, 'near'],
    [0.99 * listRoom, 'near'],
    [1.01 * listRoom, 'over'],
  ] as const) {
    assert.equal(alarmOf(der(octets)), expected, String(octets))
  }
})

test('what has no room gives way, the longest first, to what fitted or to a refusal', () => {
  const refusal = 1
  const rows = [
    [
      [{ whole: 60 }, { whole: 40 }],
      ['whole', 'whole'],
    ],
    [[{ whole: 101 }], ['refused']],
    [[{ whole: 101, earlier: 90 }], ['earlier']],
    // What fitted once alone may not fit beside another.
    [
      [{ whole: 101, earlier: 90 }, { whole: 20 }],
      ['refused', 'whole'],
    ],
    [
      [{ whole: 20 }, { whole: 90 }],
      ['whole', 'refused'],
    ],
    [
      [{ whole: 120 }, { whole: 110, earlier: 50 }],
      ['refused', 'earlier'],
    ],
    [[], []],
  ] as const
  for (const [keys, expected] of rows) {
    assert.deepEqual(fitting(keys, { room: 100, refusal }), expected, JSON.stringify(keys))
  }
  assert.deepEqual(fitting([{ whole: 9 }], { room: 0, refusal }), ['refused'], 'no room at all')
})
