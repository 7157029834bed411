const actionsOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Runs `action` when the signal aborts. However many calls share a signal, it gets one listener: Node warns of a leak
 * when there are more than ten.
 *
 * @returns how to take it back.
 */
export function onAbort(signal: AbortSignal | undefined, action: () => void): () => void {
  if (!signal) return () => {}
  const actions = actionsOf.get(signal) ?? listen(signal)
  actions.add(action)
  return () => {
    actions.delete(action)
  }
}

function listen(signal: AbortSignal): Set<() => void> {
  const actions = new Set<() => void>()
  actionsOf.set(signal, actions)
  signal.addEventListener(
    'abort',
    () => {
      for (const action of [...actions]) action()
    },
    { once: true },
  )
  return actions
}
