import { isAbsolute, normalize } from 'node:path'
import { z } from 'zod'
import { interfaceNameSchema } from '../config/network-config.ts'
import { vmNameSchema } from '../config/vm-name.ts'

const namespaceSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/)
/** The last line of defence before a path is removed: no root, no relative part. */
const ownPathSchema = z
  .string()
  .max(4096)
  .refine((path) => isAbsolute(path) && normalize(path) === path && path.split('/').length > 2 && !path.endsWith('/'))

/**
 * One change of the host, described by what takes it back. `netns` is the network namespace of the object, none the
 * host's own.
 */
export const undoStepSchema = z.discriminatedUnion('kind', [
  /** A namespace was made: remove it and end what runs in it. */
  z.strictObject({ kind: z.literal('netns'), name: namespaceSchema }),
  /** A link was made: delete it, if it is of that kind (`linkinfo.info_kind` of `ip -details link`). */
  z.strictObject({
    kind: z.literal('link'),
    name: interfaceNameSchema,
    linkKind: z.string().max(20),
    netns: namespaceSchema.optional(),
  }),
  /** An uplink was given to a bridge of vmr's: when nobody else is on the bridge, delete it and let the uplink go. */
  z.strictObject({ kind: z.literal('uplink-bridge'), bridge: interfaceNameSchema, uplink: interfaceNameSchema }),
  /** A link that was there before was changed: set these again. */
  z.strictObject({
    kind: z.literal('link-settings'),
    name: interfaceNameSchema,
    netns: namespaceSchema.optional(),
    up: z.boolean().optional(),
    mtu: z.number().int().positive().optional(),
  }),
  /** An attribute of a link was set, by its words in `ip link set dev LINK …`: set the value that it had. */
  z.strictObject({
    kind: z.literal('link-attribute'),
    name: interfaceNameSchema,
    netns: namespaceSchema.optional(),
    attribute: z
      .string()
      .regex(/^(type [a-z_]+ )?[a-z_]+$/)
      .max(60),
    value: z.string().regex(/^(on|off|\d{1,12})$/),
  }),
  /** A bridge forgot that a port has members of a multicast group: let it know again, until they expire. */
  z.strictObject({
    kind: z.literal('multicast-member'),
    bridge: interfaceNameSchema,
    port: interfaceNameSchema,
    group: z.string().regex(/^[0-9a-f:.]{2,45}$/),
    vlan: z.number().int().min(1).max(4094).optional(),
  }),
  /** A VM was paused: let it run on. */
  z.strictObject({
    kind: z.literal('vm-paused'),
    uri: z.string().min(1).max(1000),
    name: z.string().min(1).max(200),
    uuid: z.guid(),
  }),
  /** A sysctl was set: write the value it had. */
  z.strictObject({
    kind: z.literal('sysctl'),
    key: z.string().regex(/^[a-z0-9_]+(\/[A-Za-z0-9_.:@-]+)+$/, 'is the path below /proc/sys'),
    value: z.string().max(1000),
    netns: namespaceSchema.optional(),
  }),
  /** A long-running command was started with this mark in its environment: end it and all that it started. */
  z.strictObject({
    kind: z.literal('process'),
    mark: z.string().regex(/^[0-9a-f-]{36}$/),
    command: z.string().max(300),
  }),
  /** A file was made: remove it. */
  z.strictObject({ kind: z.literal('file'), path: ownPathSchema }),
  /** A directory was made: remove it with all that is in it. */
  z.strictObject({ kind: z.literal('directory'), path: ownPathSchema }),
  /** A libvirt domain was defined or started: destroy and undefine it, if it has that UUID. */
  z.strictObject({
    kind: z.literal('domain'),
    uri: z.string().min(1).max(1000),
    name: z.string().min(1).max(200),
    uuid: z.guid(),
  }),
  /** A VM is about to have another name: give it, its files and its journals the first one again. */
  z.strictObject({
    kind: z.literal('vm-rename'),
    uri: z.string().min(1).max(1000),
    uuid: z.guid(),
    from: vmNameSchema,
    to: vmNameSchema,
  }),
  /**
   * NICs of a running VM are about to be attached in another way: attach them as its definition says, and have the guest
   * set them up again.
   */
  z.strictObject({
    kind: z.literal('nic-switch'),
    uri: z.string().min(1).max(1000),
    name: z.string().min(1).max(200),
    uuid: z.guid(),
    nics: z
      .array(
        z.strictObject({
          name: z.string().regex(/^eth\d{1,2}$/),
          mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
          /** What the guest runs to set it up. */
          script: ownPathSchema,
        }),
      )
      .max(64),
  }),
])

export type UndoStep = z.infer<typeof undoStepSchema>
export type UndoKind = UndoStep['kind']
export type UndoStepOf<Kind extends UndoKind> = Extract<UndoStep, { kind: Kind }>

/** Kinds that live in the kernel's memory: a reboot takes them back. */
export const volatileKinds: ReadonlySet<UndoKind> = new Set([
  'netns',
  'link',
  'uplink-bridge',
  'link-settings',
  'link-attribute',
  'multicast-member',
  'vm-paused',
  'sysctl',
  'process',
  'nic-switch',
])

/** "the link vmr-up1", for messages. */
export function describeStep(step: UndoStep): string {
  const where = 'netns' in step && step.netns !== undefined ? ` in network namespace ${step.netns}` : ''
  switch (step.kind) {
    case 'netns':
      return `network namespace ${step.name}`
    case 'link':
      return `link ${step.name}${where}`
    case 'uplink-bridge':
      return `bridge ${step.bridge} on ${step.uplink}`
    case 'link-settings':
      return `settings of ${step.name}${where}`
    case 'link-attribute':
      return `${step.attribute} of ${step.name}${where}`
    case 'multicast-member':
      return `membership of ${step.port} in ${step.group} on ${step.bridge}`
    case 'vm-paused':
      return `pause of VM ${step.name}`
    case 'sysctl':
      return `sysctl ${step.key}${where}`
    case 'process':
      return `process ${step.command}`
    case 'file':
    case 'directory':
      return step.path
    case 'domain':
      return `VM ${step.name}`
    case 'vm-rename':
      return `unfinished renaming of VM ${step.from} to ${step.to}`
    case 'nic-switch':
      return `unfinished switch of ${step.nics.map(({ name }) => name).join(', ')} of VM ${step.name}`
  }
}
