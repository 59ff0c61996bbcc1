/** A kubeconfig, as text, of a cluster at which nobody answers; with this token. */
export function deadKubeconfig(token = 't'): string {
  return JSON.stringify({
    'current-context': 'k',
    contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'k', user: { token } }],
  })
}
