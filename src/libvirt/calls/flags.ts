/** The sum of the bits whose options are true. */
export function flagBits<F extends string>(
  options: { readonly [K in NoInfer<F>]?: boolean | undefined } | undefined,
  bits: Readonly<Record<F, number>>,
): number {
  if (!options) return 0
  let sum = 0
  for (const name in bits) if (options[name]) sum += bits[name]
  return sum
}

/**
 * What a change affects (virDomainModificationImpact): the running domain, its persistent definition, or both. With
 * neither given, libvirt takes the running one if the domain runs, else the definition.
 */
export interface AffectOptions {
  readonly live?: boolean | undefined
  readonly config?: boolean | undefined
}

export const affectBits = { live: 1, config: 2 } as const
