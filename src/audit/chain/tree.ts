import { createHash } from 'node:crypto'

/** The right edge of a Merkle tree (RFC 9162 2.1): the roots of its full subtrees, the largest first. With the
 *  number of leaves it is all that is needed to go on. */
export type Edge = readonly Buffer[]

/** The edge of a tree of `size` leaves after more were added. */
export function grown(edge: Edge, size: bigint, leaves: readonly Buffer[]): Edge {
  const roots = [...edge]
  let count = size
  for (const leaf of leaves) {
    let root: Buffer = createHash('sha256').update(Buffer.of(0)).update(leaf).digest()
    for (let bits = count; bits & 1n; bits >>= 1n) root = node(roots.pop() ?? root, root)
    roots.push(root)
    count += 1n
  }
  return roots
}

/** The root of the whole tree; that of an empty one is the hash of nothing. */
export function merkleRoot(edge: Edge): Buffer {
  return edge.length === 0
    ? createHash('sha256').digest()
    : edge.reduceRight((right, left) => node(left, right))
}

/** An edge as it is stored: its hashes one after the other. */
export function edgeFrom(octets: Uint8Array): Edge {
  const bytes = Buffer.from(octets)
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.subarray(32 * at, 32 * at + 32))
}

function node(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest()
}
