import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { withHostLock } from '../undo/host-lock.ts'

export interface VmLockOptions {
  readonly signal?: AbortSignal
  /** How long to wait for another vmr to finish with the VM, in ms. Default 60 000. */
  readonly timeoutMs?: number
}

/**
 * Runs the task while no other vmr on this host changes the VM: create, start, stop, switch and delete take turns. Not to
 * be nested for one name.
 *
 * @throws VmrError HOST_BUSY when the other one takes too long, INTERRUPTED.
 */
export async function withVmLock<T>(
  name: string,
  { signal, timeoutMs = 60_000 }: VmLockOptions,
  task: () => Promise<T>,
): Promise<T> {
  let held = false
  try {
    return await withHostLock(
      { name: `vm ${name}`, timeoutMs, ...(signal === undefined ? {} : { signal }) },
      async () => {
        held = true
        return task()
      },
    )
  } catch (error) {
    // A lock inside the task has an explanation of its own.
    if (held || !isVmrError(error) || error.code !== 'HOST_BUSY') throw error
    throw new VmrError('HOST_BUSY', `another vmr has been changing ${name} for ${Math.round(timeoutMs / 1000)} s`, {
      hint: 'Wait for it to end, or end it, then try again.',
      cause: error,
    })
  }
}
