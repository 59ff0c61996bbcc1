/** The public half of an RSA key (RFC 8017 3.1). */
export type RsaPublicKey = { readonly modulus: Buffer; readonly exponent: Buffer }

/** Why a modulus is weak, or undefined: a small factor, primes too close together (Fermat), or the
 *  fingerprint of the Infineon generator (ROCA, CVE-2017-15361). */
export function modulusFault(modulus: Buffer): string | undefined {
  const n = BigInt(`0x${modulus.toString('hex')}`)
  if (hasSmallFactor(n)) return 'The RSA modulus has a small prime factor; make a new key'
  if (isRoca(n)) return 'The RSA key was made by a faulty generator (ROCA); make a new key'
  if (hasClosePrimes(n)) return 'The two RSA primes lie too close together; make a new key'
  return undefined
}

const smallPrimes: readonly bigint[] = primesBelow(3000)
const smallProduct = smallPrimes.reduce((product, prime) => product * prime, 1n)

function primesBelow(bound: number): bigint[] {
  const primes: bigint[] = []
  for (let n = 2; n < bound; n++)
    if (primes.every((prime) => BigInt(n) % prime !== 0n)) primes.push(BigInt(n))
  return primes
}

function hasSmallFactor(n: bigint): boolean {
  // One long division by the product, then short ones: ten times faster than dividing n each time.
  const rest = n % smallProduct
  return smallPrimes.some((prime) => rest % prime === 0n)
}

/** The primes for which 65537 generates a true subgroup, with that subgroup; a ROCA modulus is in
 *  all of them, another in all of them once in about 2^27 (Nemec et al., CCS 2017, section 3). */
const rocaSubgroups: readonly { readonly prime: bigint; readonly members: ReadonlySet<bigint> }[] =
  smallPrimes
    .filter((prime) => prime > 2n && prime <= 167n)
    .map((prime) => ({ prime, members: subgroup(65537n, prime) }))
    .filter(({ prime, members }) => BigInt(members.size) < prime - 1n)

function subgroup(generator: bigint, prime: bigint): ReadonlySet<bigint> {
  const members = new Set<bigint>()
  for (let power = 1n; !members.has(power); power = (power * generator) % prime) members.add(power)
  return members
}

function isRoca(n: bigint): boolean {
  return rocaSubgroups.every(({ prime, members }) => members.has(n % prime))
}

const fermatRounds = 100

/** Fermat's method finds p and q in few rounds when they share their upper half. */
function hasClosePrimes(n: bigint): boolean {
  let a = squareRoot(n)
  if (a * a < n) a += 1n
  for (let round = 0; round < fermatRounds; round++, a += 1n) {
    const square = a * a - n
    // Squares end in 0, 1, 4 or 9 modulo 16, which spares most of the roots.
    if (!squaresModulo16.has(square & 15n)) continue
    const root = squareRoot(square)
    if (root * root === square) return true
  }
  return false
}

const squaresModulo16: ReadonlySet<bigint> = new Set([0n, 1n, 4n, 9n])

function squareRoot(n: bigint): bigint {
  if (n < 2n) return n
  let root = 1n << BigInt((n.toString(16).length * 4) / 2 + 1)
  for (;;) {
    const next = (root + n / root) >> 1n
    if (next >= root) return root
    root = next
  }
}
