import { Icon, type IconName } from './icons.tsx'

type Tone = 'good' | 'info' | 'warn' | 'bad' | 'off'

/** How each word that the API has for a state is shown: by a colour, a picture and the word itself. */
const looks: Readonly<Record<string, readonly [tone: Tone, icon: IconName]>> = {
  Synced: ['good', 'good'],
  Applied: ['info', 'wait'],
  Pending: ['info', 'wait'],
  Failed: ['bad', 'bad'],
  Conflict: ['warn', 'clash'],
  Ready: ['good', 'good'],
  Unknown: ['off', 'wait'],
  ok: ['good', 'good'],
  warning: ['warn', 'clash'],
  failed: ['bad', 'bad'],
  unknown: ['off', 'wait'],
  active: ['good', 'good'],
  signing: ['info', 'wait'],
  expired: ['off', 'off'],
  ended: ['off', 'off'],
  ending: ['warn', 'expiry'],
  'going stale': ['warn', 'expiry'],
  revoked: ['bad', 'bad'],
  retired: ['off', 'off'],
  valid: ['good', 'good'],
  registering: ['info', 'wait'],
  deactivating: ['info', 'wait'],
  deactivated: ['off', 'off'],
  new: ['info', 'wait'],
  authorizing: ['info', 'wait'],
  finalizing: ['info', 'wait'],
  issued: ['good', 'good'],
  dropped: ['off', 'off'],
  error: ['bad', 'bad'],
  unread: ['warn', 'clash'],
  warming: ['info', 'wait'],
  draining: ['info', 'wait'],
  True: ['good', 'good'],
  False: ['bad', 'bad'],
  yes: ['good', 'good'],
  no: ['bad', 'bad'],
}

/** A state: its word, with a colour and a picture of its own. */
export function Status({ of, tip }: { readonly of: string; readonly tip?: string | null }) {
  const [tone, icon] = looks[of] ?? ['off', 'off']
  const word = of === 'expired' ? 'ended' : of
  if (!tip) {
    return (
      <span className={`status status-${tone}`}>
        <Icon name={icon} />
        {word}
      </span>
    )
  }
  return (
    <span className={`status status-${tone}`} data-tip={tip} tabIndex={0}>
      <Icon name={icon} />
      {word}
    </span>
  )
}
