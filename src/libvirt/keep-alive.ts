/** When a daemon counts as dead: `count` pings in a row, one every `intervalMs` milliseconds, without a sign of life. */
export interface KeepAliveOptions {
  readonly intervalMs: number
  readonly count: number
}

/** Watches over one connection. */
export interface KeepAlive {
  /** Anything at all came from the daemon. */
  readonly heard: () => void
  readonly stop: () => void
}

/**
 * Pings the daemon while it says nothing, and gives it up after `count` unanswered pings, thus at most
 * `intervalMs * (count + 1)` after its last sign of life (the rule of libvirt's src/rpc/virkeepalive.c). The timer does
 * not keep the process alive.
 *
 * @param deaf whether nothing is read from the daemon just now, so that its silence means nothing.
 */
export function startKeepAlive(
  options: KeepAliveOptions,
  ping: () => void,
  dead: () => void,
  deaf: () => boolean,
): KeepAlive {
  let unanswered = 0
  let spoke = false
  const timer = setInterval(() => {
    if (deaf()) unanswered = 0
    else if (spoke) {
      spoke = false
      return
    } else if (unanswered >= options.count) {
      clearInterval(timer)
      dead()
      return
    } else unanswered++
    ping()
  }, options.intervalMs)
  timer.unref()
  return {
    heard: () => {
      unanswered = 0
      spoke = true
    },
    stop: () => clearInterval(timer),
  }
}
