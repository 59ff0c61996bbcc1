import { useLocation } from 'wouter'
import { useAction } from '../parts/action.tsx'
import { Modal } from '../parts/dialog.tsx'
import { Final } from '../parts/final.tsx'
import { api } from '../shared/api.ts'
import { nameOf } from '../shared/subject.ts'
import type { Leaf } from './queries.ts'

type Props = { readonly leaf: Leaf; readonly open: boolean; readonly onClose: () => void }

/** Asks whether an uploaded certificate is to be removed with its key; one that is in use the service keeps. */
export function Remove({ leaf, open, onClose }: Props) {
  const { tenant, id } = leaf
  const [, goTo] = useLocation()
  const removing = useAction(async () => {
    const params = { path: { tenant, id } }
    const { error } = await api.DELETE('/v1/tenants/{tenant}/certificates/{id}', { params })
    if (error !== undefined) throw error
  }, [['certificates', 'list'], ['certificates', 'uploads'], ['expiry']])
  return (
    <Modal title={`Remove the certificate of ${nameOf(leaf)}`} open={open} onClose={onClose}>
      <Final
        doing={removing}
        words={['Remove it for good', 'Removing …']}
        onSubmit={() => removing.mutate(undefined, { onSuccess: () => goTo('/certificates') })}
        onClose={onClose}
      >
        <p className="note note-warn">
          <span>
            It is forgotten with its private key, for good. Its CA is not told: where the key is
            known to others, have it revoked there.
          </span>
        </p>
      </Final>
    </Modal>
  )
}
