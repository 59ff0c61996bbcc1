import type { Chain } from '../../../src/clusters/listeners/table.ts'

/** The chains as the four columns of istioctl. */
export function columns(chains: readonly Chain[]): readonly (readonly string[])[] {
  return chains.map(({ addresses, port, match, destination }) => [
    addresses,
    String(port),
    match,
    destination,
  ])
}
