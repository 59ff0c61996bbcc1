import { Dialog, DialogDismiss, DialogHeading } from '@ariakit/react/dialog'
import type { ReactNode } from 'react'
import { Icon } from './icons.tsx'

/** A question or a result over the view: the keyboard stays in it, Escape closes it, and who closes it is where they were. */
export function Modal({
  title,
  open,
  onClose,
  wide = false,
  children,
}: {
  readonly title: string
  readonly open: boolean
  readonly onClose: () => void
  readonly wide?: boolean
  readonly children: ReactNode
}) {
  return (
    <Dialog
      open={open}
      onClose={onClose}
      unmountOnHide
      backdrop={<div className="backdrop" />}
      className={wide ? 'dialog dialog-wide' : 'dialog'}
    >
      <div className="dialog-head">
        <DialogHeading>{title}</DialogHeading>
        <DialogDismiss className="button button-plain" aria-label="Close">
          <Icon name="bad" />
        </DialogDismiss>
      </div>
      {children}
    </Dialog>
  )
}
