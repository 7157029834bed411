import { type ErrorCode, errorCodes } from './codes.ts'

const brand = Symbol.for('vmr.error')

/**
 * The one error vmr reports to a person: `message` says what happened to which object, `hint` what to do next.
 * `cause` keeps the underlying error for `--debug`; it is never needed to understand the message.
 */
export class VmrError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly [brand] = true

  constructor(code: ErrorCode, message: string, options: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    Object.defineProperty(this, 'name', { value: 'VmrError', enumerable: false })
  }

  get exitStatus(): number {
    return errorCodes[this.code]
  }
}

/** True also for an error that another copy of this module made (bundles split into chunks). */
export function isVmrError(error: unknown): error is VmrError {
  return typeof error === 'object' && error !== null && brand in error
}
