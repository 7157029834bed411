import type { TypedParameter } from './protocol/types.ts'

/** A typed parameter's value. A 64-bit integer is a number where that is exact, else a bigint. */
export type TypedValue = number | bigint | boolean | string

/** Typed parameters as a record, field by field. */
export type TypedRecord = Readonly<Record<string, TypedValue>>

/** Typed parameters as libvirt sends them, made a record. */
export function typedRecord(parameters: readonly TypedParameter[]): TypedRecord {
  const record: Record<string, TypedValue> = Object.create(null)
  for (const { field, value } of parameters) {
    const exact = typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value
    record[field] = exact
  }
  return record
}
