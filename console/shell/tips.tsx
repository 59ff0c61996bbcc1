import { useEffect, useRef } from 'react'

const id = 'tip'

/** What bears `data-tip` says it on hover and on focus, in one place for all: a thousand rows need no thousand tooltips. */
export function Tips() {
  const tip = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const box = tip.current
    if (!box) return
    const hide = () => {
      box.hidden = true
      document.querySelector(`[aria-describedby="${id}"]`)?.removeAttribute('aria-describedby')
    }
    const show = (event: Event) => {
      const target = event.target instanceof Element ? event.target.closest('[data-tip]') : null
      const said = target?.getAttribute('data-tip')
      if (!target || !said) return hide()
      hide()
      box.textContent = said
      box.hidden = false
      target.setAttribute('aria-describedby', id)
      place(box, target.getBoundingClientRect())
    }
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape') hide()
    }
    const shows = ['pointerover', 'focusin'] as const
    const hides = ['focusout', 'pointerdown'] as const
    for (const name of shows) document.addEventListener(name, show)
    for (const name of hides) document.addEventListener(name, hide)
    document.addEventListener('keydown', onKey)
    document.addEventListener('scroll', hide, true)
    return () => {
      for (const name of shows) document.removeEventListener(name, show)
      for (const name of hides) document.removeEventListener(name, hide)
      document.removeEventListener('keydown', onKey)
      document.removeEventListener('scroll', hide, true)
    }
  }, [])
  return <div ref={tip} id={id} role="tooltip" className="tip" hidden />
}

/** Below what it is about, within the window; above where there is no room. */
function place(box: HTMLElement, about: DOMRect): void {
  const gap = 6
  const below = about.bottom + gap
  const fits = below + box.offsetHeight < window.innerHeight
  const left = Math.min(about.left, window.innerWidth - box.offsetWidth - gap)
  box.style.left = `${Math.max(gap, left)}px`
  box.style.top = `${fits ? below : about.top - box.offsetHeight - gap}px`
}
