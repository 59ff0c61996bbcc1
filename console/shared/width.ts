import { type RefObject, useEffect, useRef, useState } from 'react'

/** An element and how wide it is, as that changes. */
export function useWidth<E extends Element>(): readonly [RefObject<E | null>, number] {
  const element = useRef<E>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    if (!element.current) return
    const watched = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 0))
    watched.observe(element.current)
    return () => watched.disconnect()
  }, [])
  return [element, width]
}
