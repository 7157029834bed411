import type { BenchCase } from './bench-case.ts'
import { nicCase } from './nic.ts'

/** Every case by name. */
export const benchCases: Readonly<Record<string, BenchCase>> = { [nicCase.name]: nicCase }
