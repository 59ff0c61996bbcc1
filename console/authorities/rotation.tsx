import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useId, useState } from 'react'
import { Link } from 'wouter'
import { ActionButton, useAction } from '../parts/action.tsx'
import { Modal } from '../parts/dialog.tsx'
import { Icon } from '../parts/icons.tsx'
import { Loaded, Section } from '../parts/page.tsx'
import { ProblemNote } from '../parts/problem.tsx'
import { Ago, Ends } from '../parts/time.tsx'
import { answered, api, type Schemas } from '../shared/api.ts'
import { useMay } from '../shell/session.ts'
import { type Authority, rotationQuery } from './queries.ts'
import { steps } from './steps.ts'

/** How the key of an authority is changed: the steps, what each waits for, and how it is begun. */
export function RotationSteps({ authority }: { readonly authority: Authority }) {
  const { name, keyHeld, retiredAt, approval } = authority
  const query = useQuery(rotationQuery(name))
  const refused = useMay('write-authorities')
  const [open, setOpen] = useState(false)
  const underWay = query.data && query.data.step !== 'done'
  const cannot = keyHeld ? (retiredAt ? 'It is retired' : undefined) : 'Its key is not held here'
  return (
    <Section
      title="Change of key"
      aside={
        <ActionButton
          refused={refused ?? cannot ?? (underWay ? 'One is under way' : undefined)}
          onPress={() => setOpen(true)}
        >
          Change its key
        </ActionButton>
      }
    >
      <div className="card stack" id="rotation">
        <Loaded query={query}>
          {(rotation) =>
            rotation ? <Progress rotation={rotation} /> : <p>Its key was never changed.</p>
          }
        </Loaded>
      </div>
      <Begin name={name} approval={approval} open={open} onClose={() => setOpen(false)} />
    </Section>
  )
}

function Progress({ rotation }: { readonly rotation: Schemas['Rotation'] }) {
  const { held } = rotation.outstanding
  return (
    <>
      <p className="quiet">
        Begun <Ago at={rotation.startedAt} />; this step <Ago at={rotation.since} />
        {rotation.step === 'done' ? (
          ''
        ) : (
          <>
            ; the old key may be retired <Ends at={rotation.deadline} brief /> whatever is left
          </>
        )}
      </p>
      <ol className="steps">
        {steps(rotation).map(({ name, title, state, waitsFor }) => (
          <li
            key={name}
            className={`step step-${state}`}
            aria-current={state === 'now' ? 'step' : undefined}
          >
            <Icon name={state === 'done' ? 'good' : state === 'now' ? 'wait' : 'off'} />
            <div>
              {title}
              <span className="unseen"> ({state === 'now' ? 'under way' : state})</span>
              {waitsFor ? <span className="below">{waitsFor}</span> : null}
            </div>
          </li>
        ))}
      </ol>
      {held.length > 0 ? (
        <ul>
          {held.slice(0, 5).map(({ id, tenant, profile, notAfter }) => (
            <li key={id}>
              <Link href={`/certificates/${tenant}/${id}`}>
                a {profile} certificate of {tenant}
              </Link>
              , ends <Ends at={notAfter} brief />
            </li>
          ))}
        </ul>
      ) : null}
    </>
  )
}

function Begin({
  name,
  approval,
  open,
  onClose,
}: {
  readonly name: string
  readonly approval: Authority['approval']
  readonly open: boolean
  readonly onClose: () => void
}) {
  const [days, setDays] = useState('30')
  const field = useId()
  const alone = approval === 'one-person'
  const beginning = useAction(() => begin(name, Number(days), alone), [['authorities']])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    beginning.mutate(undefined, { onSuccess: onClose })
  }
  return (
    <Modal title={`Change the key of ${name}`} open={open} onClose={onClose}>
      <form onSubmit={submit}>
        <p>
          A new key is made and certified. New trust is spread first, then hosts move over, and the
          old key is trusted no longer at the end: nothing goes out of service on the way.
        </p>
        {alone ? null : (
          <p className="note note-warn">
            <span>Another person has to approve it.</span>
          </p>
        )}
        <div className="field">
          <label htmlFor={field}>Days that holders of client certificates have to renew</label>
          <input
            id={field}
            type="number"
            min={1}
            max={3650}
            required
            value={days}
            onChange={(event) => setDays(event.target.value)}
          />
        </div>
        {beginning.error ? <ProblemNote error={beginning.error} /> : null}
        <div className="buttons">
          <button
            type="submit"
            className="button button-primary"
            aria-disabled={beginning.isPending}
          >
            {alone ? 'Begin' : 'Ask for it'}
          </button>
        </div>
      </form>
    </Modal>
  )
}

async function begin(authority: string, deadlineDays: number, alone: boolean): Promise<void> {
  const params = { path: { authority } }
  if (alone) {
    await answered(
      api.POST('/v1/authorities/{authority}/rotate', { params, body: { deadlineDays } }),
    )
    return
  }
  const body = { action: 'rotate' as const, rotation: { deadlineDays } }
  await answered(api.POST('/v1/authorities/{authority}/approvals', { params, body }))
}
