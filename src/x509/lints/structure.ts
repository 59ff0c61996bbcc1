import {
  authorityKeyExtension,
  extension,
  subjectKeyExtension,
  writtenExtensions,
} from '../certificates/extensions.ts'
import { issuerKeyIdentifier } from '../certificates/read.ts'
import { oids } from '../der/oids.ts'
import { isCertified, keyIdentifier } from '../keys/public.ts'
import { signatureAlgorithmOf } from '../keys/sign.ts'
import { subjectFaults } from '../names/attributes.ts'
import { emptyName, encodeName } from '../names/distinguished.ts'
import { authority, every, issued, leaf, type Rule, unless } from './rule.ts'

/** Rules about the certificate as a whole: version, names, keys and the form of its extensions. */
export const structureRules: readonly Rule[] = [
  {
    name: 'version-3',
    clause: 'RFC 5280 4.1.2.1',
    applies: every,
    check: ({ version }) => unless(version === 3, `The version is ${version}, not 3`),
  },
  {
    name: 'signature-algorithm',
    clause: 'RFC 5280 4.1.2.3',
    applies: every,
    check: (tbs, { issuer }) => {
      const signer = (issuer ?? tbs).keyAlgorithm
      return unless(
        signer !== undefined && tbs.innerAlgorithm.equals(signatureAlgorithmOf(signer)),
        'The signature algorithm is not the one of the issuer’s key',
      )
    },
  },
  {
    name: 'issuer-name',
    clause: 'RFC 5280 4.1.2.4',
    applies: every,
    check: (tbs, { issuer }) =>
      unless(
        tbs.issuerDer.equals((issuer ?? tbs).subjectDer) && !tbs.issuerDer.equals(emptyName),
        'The issuer is not byte for byte the authority’s subject',
      ),
  },
  {
    name: 'subject-bounds',
    clause: 'RFC 5280 appendix A.1',
    applies: every,
    check: ({ subject, subjectDer }, { standsFor, succeeds }) => {
      const kept = (standsFor ?? succeeds)?.subjectDer
      // Others may have written what we would not: a name that is kept is kept byte for byte.
      if (kept === undefined) return subjectFaults(subject)[0]
      return unless(kept.equals(subjectDer), 'The subject is not that of the authority')
    },
  },
  {
    name: 'subject-form',
    clause: 'RFC 5280 4.1.2.6',
    applies: leaf,
    check: ({ subject, subjectDer }) =>
      unless(
        subjectFaults(subject).length > 0 || encodeName(subject).equals(subjectDer),
        'The subject has attributes, string types or an order that we do not write',
      ),
  },
  {
    name: 'authority-has-subject',
    clause: 'RFC 5280 4.1.2.6',
    applies: authority,
    check: ({ subjectDer }) => unless(!subjectDer.equals(emptyName), 'The subject is empty'),
  },
  {
    name: 'key-allowed',
    clause: 'CA/B BR 6.1.5',
    applies: every,
    check: ({ keyAlgorithm }, { allowed, profile }) =>
      unless(
        isCertified(keyAlgorithm)
          ? (allowed.keyAlgorithms?.includes(keyAlgorithm) ?? true)
          : keyAlgorithm !== undefined && authority(profile),
        `A key of kind ${keyAlgorithm ?? 'unknown'} is not allowed`,
      ),
  },
  {
    name: 'key-is-not-the-issuers',
    clause: 'CA/B BR 6.1.1.3',
    applies: issued,
    check: ({ spki }, { issuer }) =>
      unless(!issuer?.spki.equals(spki), 'The key is the issuer’s own'),
  },
  {
    name: 'extensions-known',
    clause: 'RFC 5280 4.2',
    applies: every,
    check: ({ extensions }) => {
      const strange = extensions.find(({ oid }) => !writtenExtensions.has(oid))
      return strange && `The extension ${strange.oid} is none of ours`
    },
  },
  {
    name: 'extensions-canonical',
    clause: 'X.690 11.5',
    applies: every,
    check: ({ extensions }) =>
      unless(
        extensions.every(({ oid, critical, value, der }) =>
          extension(oid, critical, value).equals(der),
        ),
        'An extension states its default, which DER leaves out',
      ),
  },
  {
    name: 'subject-key',
    clause: 'RFC 5280 4.2.1.2',
    applies: every,
    check: ({ extensions, subjectKeyIdentifier, spki }, { standsFor }) => {
      const found = extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier)
      if (standsFor) {
        const kept = standsFor.subjectKeyIdentifier
        // Certificates below name the key by it.
        const same = kept ? found?.der.equals(subjectKeyExtension(kept)) : found === undefined
        return unless(
          standsFor.spki.equals(spki) && (same ?? false),
          'Key or subjectKeyIdentifier are not those of the certificate that it stands for',
        )
      }
      if (!found || !subjectKeyIdentifier) return 'subjectKeyIdentifier is missing'
      return unless(
        !found.critical && subjectKeyIdentifier.length > 0 && subjectKeyIdentifier.length <= 32,
        'subjectKeyIdentifier is critical or not 1 to 32 octets',
      )
    },
  },
  {
    name: 'subject-key-from-key',
    clause: 'RFC 7093 2',
    applies: leaf,
    check: ({ spki, extensions, subjectKeyIdentifier }) => {
      const found = extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier)
      return unless(
        !found ||
          !subjectKeyIdentifier ||
          found.der.equals(subjectKeyExtension(keyIdentifier(spki))),
        'subjectKeyIdentifier is not made from the key',
      )
    },
  },
  {
    name: 'authority-key',
    clause: 'RFC 5280 4.2.1.1',
    applies: issued,
    check: ({ extensions }, { issuer }) => {
      const found = extensions.find(({ oid }) => oid === oids.authorityKeyIdentifier)
      if (!issuer) return found && 'authorityKeyIdentifier names a key of nobody'
      return unless(
        found?.der.equals(authorityKeyExtension(issuerKeyIdentifier(issuer))) ?? false,
        'authorityKeyIdentifier is not exactly the issuer’s subjectKeyIdentifier',
      )
    },
  },
]
