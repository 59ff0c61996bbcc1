import { basicConstraintsExtension, type KeyUsage } from '../certificates/extensions.ts'
import { profilePurposes, servesPurpose } from '../certificates/purposes.ts'
import type { CertificateProfile } from '../certificates/template.ts'
import { constraintFaults } from '../constraints/faults.ts'
import { oids } from '../der/oids.ts'
import { altNameFaults, countAltNames } from '../names/altnames.ts'
import { emptyName } from '../names/distinguished.ts'
import { every, leaf, type Rule, server, unless } from './rule.ts'

const purposes: Readonly<Partial<Record<CertificateProfile, readonly string[]>>> = {
  ...profilePurposes,
  ocsp: [oids.ocspSigning],
}

const noAuthority = basicConstraintsExtension(false)

/** Rules about the extensions of leaves. */
export const leafRules: readonly Rule[] = [
  {
    name: 'names-present',
    clause: 'CA/B BR 7.1.2.7.12',
    applies: server,
    check: ({ altNames }) => unless(countAltNames(altNames) > 0, 'There is no alternative name'),
  },
  {
    name: 'someone-named',
    clause: 'RFC 5280 4.1.2.6',
    applies: leaf,
    check: ({ altNames, subjectDer }) =>
      unless(
        countAltNames(altNames) > 0 || !subjectDer.equals(emptyName),
        'Neither subject nor alternative names say whose it is',
      ),
  },
  {
    name: 'names-critical-iff-no-subject',
    clause: 'RFC 5280 4.2.1.6',
    applies: leaf,
    check: ({ extensions, subjectDer }) => {
      const found = extensions.find(({ oid }) => oid === oids.subjectAltName)
      return unless(
        found === undefined || found.critical === subjectDer.equals(emptyName),
        'subjectAltName must be critical if and only if the subject is empty',
      )
    },
  },
  {
    name: 'names-valid',
    clause: 'RFC 5280 4.2.1.6, CA/B BR 7.1.4.2',
    applies: leaf,
    check: ({ altNames }) => altNameFaults(altNames)[0],
  },
  {
    name: 'names-of-known-kinds',
    clause: 'CA/B BR 7.1.2.7.12',
    applies: leaf,
    check: ({ otherAltNameKinds: [kind] }) => kind && `An alternative name is a ${kind}`,
  },
  {
    name: 'names-once',
    clause: 'our own',
    applies: leaf,
    check: ({ altNames }) =>
      unless(
        Object.values(altNames).every(
          (names) => names.length < 2 || new Set(names).size === names.length,
        ),
        'An alternative name appears twice',
      ),
  },
  {
    name: 'common-name-among-names',
    clause: 'CA/B BR 7.1.4.3',
    applies: server,
    check: ({ subject: { commonName }, altNames }) =>
      unless(
        commonName === undefined ||
          Object.values(altNames)
            .flat()
            .some((name) => name.toLowerCase() === commonName.toLowerCase()),
        'The common name is not among the alternative names',
      ),
  },
  {
    name: 'names-within-constraints',
    clause: 'RFC 5280 4.2.1.10',
    applies: leaf,
    check: ({ altNames, subjectDer }, { issuer, allowed }) => {
      const own = issuer?.nameConstraints ? [issuer.nameConstraints] : []
      const all = [...own, ...(allowed.constraints ?? [])]
      return constraintFaults(altNames, subjectDer, ...all)[0]?.message
    },
  },
  {
    name: 'key-usage-critical',
    clause: 'RFC 5280 4.2.1.3',
    applies: leaf,
    check: ({ extensions }) =>
      unless(
        extensions.some(({ oid, critical }) => oid === oids.keyUsage && critical),
        'keyUsage is missing or not critical',
      ),
  },
  {
    name: 'key-usage-fits',
    clause: 'RFC 5280 4.2.1.3, RFC 9295 3',
    applies: leaf,
    check: ({ keyUsage, keyAlgorithm }, { profile }) => {
      const encipher = server(profile) && keyAlgorithm?.startsWith('RSA')
      const may: readonly KeyUsage[] = encipher
        ? ['digitalSignature', 'keyEncipherment']
        : ['digitalSignature']
      const wrong = keyUsage.find((usage) => !may.includes(usage))
      if (wrong !== undefined) return `keyUsage ${wrong} does not fit this key and profile`
      return unless(keyUsage.includes('digitalSignature'), 'keyUsage lacks digitalSignature')
    },
  },
  {
    name: 'purposes-fit',
    clause: 'RFC 5280 4.2.1.12, CA/B BR 7.1.2.7.10',
    applies: leaf,
    check: ({ extendedKeyUsage, extensions }, { profile }) => {
      const found = extensions.find(({ oid }) => oid === oids.extendedKeyUsage)
      if (!found || found.critical) return 'extendedKeyUsage is missing or critical'
      const wanted = purposes[profile] ?? []
      return unless(
        extendedKeyUsage.length === wanted.length &&
          wanted.every((purpose) => extendedKeyUsage.includes(purpose)),
        `extendedKeyUsage is not exactly that of the profile ${profile}`,
      )
    },
  },
  {
    name: 'purposes-of-issuer',
    clause: 'RFC 5280 4.2.1.12',
    applies: (profile) => leaf(profile) && profile !== 'ocsp',
    check: ({ extendedKeyUsage }, { issuer }) =>
      unless(
        issuer === undefined || extendedKeyUsage.every((purpose) => servesPurpose(issuer, purpose)),
        'extendedKeyUsage of the issuer leaves this purpose out',
      ),
  },
  {
    name: 'no-authority',
    clause: 'RFC 5280 4.2.1.9',
    applies: leaf,
    check: ({ extensions }) => {
      const found = extensions.find(({ oid }) => oid === oids.basicConstraints)
      return unless(
        found === undefined || found.der.equals(noAuthority),
        'basicConstraints of a leaf must be an empty sequence, critical',
      )
    },
  },
  {
    name: 'no-constraints-on-leaf',
    clause: 'RFC 5280 4.2.1.10',
    applies: leaf,
    check: ({ nameConstraints }) =>
      unless(nameConstraints === undefined, 'Only an authority has nameConstraints'),
  },
  {
    name: 'no-check-for-responders-only',
    clause: 'RFC 6960 4.2.2.2.1',
    applies: every,
    check: ({ extensions }, { profile }) =>
      unless(
        extensions.some(({ oid }) => oid === oids.ocspNoCheck) === (profile === 'ocsp'),
        'id-pkix-ocsp-nocheck belongs to OCSP responders, and to all of them',
      ),
  },
]
