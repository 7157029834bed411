import { VmrError } from './vmr-error.ts'

/** True for an error of the operating system with this name, as `ENOENT`. */
export function hasErrno(error: unknown, name: string): boolean {
  return error instanceof Error && 'code' in error && error.code === name
}

/**
 * Why a file or folder could not be written, as HOST_DISK_FULL, HOST_PERMISSION or HOST_COMMAND_FAILED. An error that
 * is not the operating system's passes unchanged.
 *
 * @param what names it in the message, as "the undo journal /var/lib/vmr/undo/x".
 */
export function writeError(what: string, error: unknown, hint: { readonly permission: string }): unknown {
  if (!(error instanceof Error && 'errno' in error)) return error
  if (hasErrno(error, 'ENOSPC') || hasErrno(error, 'EDQUOT'))
    return new VmrError('HOST_DISK_FULL', `${what} could not be written: the disk is full`, {
      hint: 'Free space and try again.',
      cause: error,
    })
  if (hasErrno(error, 'EACCES') || hasErrno(error, 'EPERM') || hasErrno(error, 'EROFS'))
    return new VmrError('HOST_PERMISSION', `${what} could not be written: ${error.message}`, {
      hint: hint.permission,
      cause: error,
    })
  return new VmrError('HOST_COMMAND_FAILED', `${what} could not be written: ${error.message}`, { cause: error })
}
