import { parse } from 'yaml'
import { VmrError } from '../errors/vmr-error.ts'
import { bootOrderGivenTwice, type DomainDefinition, managementNicSchema, nicSchema } from './domain-definition.ts'

const pattern = /^(?:eth(\d{1,2})|(management))\.([A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*){0,3})=(.*)$/s

/**
 * Sets fields of NICs as on the command line: "eth0.mtu=1400", "eth1.offloads.guest.tso4=false",
 * "management.link=down". The value is read as in the YAML file, and wins over what the file says.
 *
 * @throws VmrError USAGE naming the option and what is wrong with it.
 */
export function withNicOptions(definition: DomainDefinition, options: readonly string[]): DomainDefinition {
  const changed = options.reduce(withNicOption, definition)
  const twice = bootOrderGivenTwice(changed)
  if (twice !== undefined)
    throw new VmrError('USAGE', `--nic-option: bootOrder ${twice} is given to two devices`, {
      hint: 'Give each device its own.',
    })
  return changed
}

function withNicOption(definition: DomainDefinition, option: string): DomainDefinition {
  const refuse = (why: string, hint: string) =>
    new VmrError('USAGE', `--nic-option ${JSON.stringify(option.slice(0, 200))}: ${why}`, { hint })
  const [, index, management, path, text] = pattern.exec(option) ?? []
  if (path === undefined || text === undefined)
    throw refuse('it has another form', 'Write it as eth0.mtu=1400 or eth1.offloads.guest.tso4=false.')
  let value: unknown
  try {
    value = parse(text, { schema: 'core', version: '1.2', prettyErrors: false, maxAliasCount: 0 })
  } catch (error) {
    throw refuse(`the value is no YAML: ${error instanceof Error ? error.message : error}`, 'Quote it for the shell.')
  }
  const checked = <T>(
    result:
      | { readonly success: true; readonly data: T }
      | {
          readonly success: false
          readonly error: {
            readonly issues: readonly { readonly message: string; readonly path: readonly PropertyKey[] }[]
          }
        },
  ): T => {
    if (result.success) return result.data
    const [issue] = result.error.issues
    throw refuse(
      `${issue?.path.join('.') || path}: ${issue?.message}`,
      'The fields are those of a NIC in a definition; domains/vyos.yaml explains them.',
    )
  }
  if (management !== undefined) {
    const nic = setField(definition.management ?? {}, path.split('.'), value)
    return { ...definition, management: checked(managementNicSchema.safeParse(nic)) }
  }
  const position = Number(index)
  const own = definition.nics[position]
  if (own === undefined)
    throw refuse(`there is no eth${position}`, `The definition has ${definition.nics.length} NICs, counted from eth0.`)
  const nic = checked(nicSchema.safeParse(setField(own, path.split('.'), value)))
  return { ...definition, nics: definition.nics.with(position, nic) }
}

function setField(holder: unknown, [field = '', ...deeper]: readonly string[], value: unknown): unknown {
  const before: Readonly<Record<string, unknown>> = typeof holder === 'object' && holder !== null ? { ...holder } : {}
  return { ...before, [field]: deeper.length === 0 ? value : setField(before[field], deeper, value) }
}
