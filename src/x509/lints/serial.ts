import { every, type Rule, unless } from './rule.ts'

/** Rules about serialNumber. */
export const serialRules: readonly Rule[] = [
  {
    name: 'serial-positive',
    clause: 'RFC 5280 4.1.2.2',
    applies: every,
    check: ({ serial }) => unless(/[1-9a-f]/.test(serial), 'The serial is zero'),
  },
  {
    name: 'serial-at-most-20-octets',
    clause: 'RFC 5280 4.1.2.2',
    applies: every,
    check: ({ serial }) =>
      unless(
        serial.length < 40 || (serial.length === 40 && serial < '8'),
        'The serial takes more than 20 octets of content',
      ),
  },
  {
    name: 'serial-entropy',
    clause: 'CA/B BR 7.1',
    applies: every,
    check: ({ serial }) =>
      unless(serial.length >= 32, 'The serial is too short for 120 random bits'),
  },
]
