import { z } from 'zod'
import { interfaceNameSchema, mtuSchema } from './network-config.ts'

/** Text that ends up in XML: no control characters (XML 1.0 Char), lone surrogates or noncharacters. */
const printable = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .refine(
      (text) => !/[^\u{20}-\u{7E}\u{A0}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(text),
      'must not hold control characters',
    )

/** PATH_MAX is 4096 with its final NUL (linux/limits.h). */
const pathSchema = printable(4095).describe('A file; a relative path counts from the directory of this definition.')

/** The lab router's image, which vmr itself builds, by either of its names. */
const builtImages: readonly string[] = ['lab', 'lab-router']

/** Names are told from files by the lack of a slash and of .qcow2 at their end. */
const imageNameSchema = z
  .string()
  .regex(
    /^(?!.*\.(?:qcow2|iso|img|raw)$)[a-z0-9](?:[a-z0-9_-]|\.(?!\.|$)){0,62}$/,
    'must be the name of an image, such as lab-router',
  )

/** What an image that is imported can be called. */
export const storedImageNameSchema = imageNameSchema.refine(
  (name) => !builtImages.includes(name),
  'must not be lab or lab-router, which is the image that vmr builds',
)

const imageSchema = z.union([
  imageNameSchema.describe('An image of `vmr image list`: one that was imported, or `lab`, which vmr builds.'),
  pathSchema
    .regex(/\/|\.qcow2$/, 'must be the path of a qcow2 image, with a slash or ending in .qcow2')
    .describe('A qcow2 image to boot from: short for the first of disks, with this base.'),
])

/** Whether `image` is the one that vmr builds; else it is a stored one's name, or a file's. */
export function isBuiltImage(image: string): boolean {
  return builtImages.includes(image)
}

/** Whether `image` names a stored one; else it is built, or a file. */
export function isStoredImage(image: string): boolean {
  return storedImageNameSchema.safeParse(image).success
}

const nicModeNameSchema = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,40}$/,
    'must be the name of a NIC mode: a lower-case letter, then lower-case letters, digits and hyphens',
  )

export const macSchema = z
  .string()
  .regex(/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$/, 'must be a MAC address such as 52:54:00:12:34:56')
  .refine((mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0, 'must be a unicast MAC address (first byte even)')
  .refine((mac) => !/^(?:00:){5}00$/.test(mac), 'must not be all zero')

const units: Readonly<Record<string, number>> = { KiB: 1, MiB: 1024, GiB: 1024 ** 2, TiB: 1024 ** 3 }
const sizePattern = /^([1-9]\d{0,9}) ?(KiB|MiB|GiB|TiB)$/

/** "512 MiB" -> KiB. */
export const sizeSchema = z
  .string()
  .regex(sizePattern, 'must be a size such as 512 MiB or 8 GiB')
  .transform((text) => {
    const [, amount = '0', unit = ''] = sizePattern.exec(text) ?? []
    return Number(amount) * (units[unit] ?? 0)
  })

/** libvirt's cpuset: "0", "0-3", "0,2", "0-3,^1". */
const cpuSetSchema = z
  .string()
  .regex(/^\^?\d{1,4}(-\d{1,4})?(,\^?\d{1,4}(-\d{1,4})?)*$/, 'must be a set of CPUs such as 0, 0-3 or 0,2')

const vlanIdSchema = z.int().min(1).max(4094)

const vlanSchema = z.union([
  vlanIdSchema,
  z.strictObject({
    trunk: z.array(vlanIdSchema).min(1).max(4094).describe('VLAN ids that pass tagged.'),
    native: vlanIdSchema.optional().describe('The one of them whose frames the guest sees untagged.'),
  }),
])

/** Kilobytes (1000 or 1024: libvirt says "kilobytes" and hands them to tc as KiB) a second, as libvirt's units are. */
const rateSchema = z.strictObject({
  average: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .describe('KiB/s in the long run.'),
  peak: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional()
    .describe('KiB/s at most.'),
  burst: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional()
    .describe('KiB that may pass at peak speed.'),
})

const hostOffloadsSchema = z.strictObject({
  csum: z.boolean().optional(),
  gso: z.boolean().optional(),
  tso4: z.boolean().optional(),
  tso6: z.boolean().optional(),
  ecn: z.boolean().optional(),
  ufo: z.boolean().optional(),
  mrgRxbuf: z.boolean().optional(),
})
const guestOffloadsSchema = hostOffloadsSchema.omit({ gso: true, mrgRxbuf: true })

/** virtio-net's vring: a power of two, 256 to 1024 (QEMU hw/net/virtio-net.c, VIRTIO_NET_*_QUEUE_MIN_SIZE). */
const ringSchema = z.union([z.literal(256), z.literal(512), z.literal(1024)])

const nicShape = {
  mode: nicModeNameSchema.optional().describe('How the NIC is attached (`vmr nic list`). Default: what --nic says.'),
  source: interfaceNameSchema
    .or(printable(64))
    .optional()
    .describe('What it is attached to: a bridge, an uplink or a libvirt network, by mode. Default: the testbed says.'),
  uplink: interfaceNameSchema
    .optional()
    .describe('The host NIC whose network the guest NIC shall reach. Default: the testbed says.'),
  model: z
    .enum(['virtio', 'e1000', 'e1000e', 'igb', 'rtl8139', 'vmxnet3'])
    .optional()
    .describe('What the guest sees. Default virtio; trustGuestRxFilters works with virtio only.'),
  mac: macSchema.optional().describe('Default: derived from VM name and position, the same every time.'),
  queues: z.int().min(1).max(256).optional().describe('virtio queue pairs, at most one a vCPU is useful.'),
  rxQueueSize: ringSchema.optional(),
  txQueueSize: ringSchema.optional(),
  driver: z.enum(['vhost', 'qemu']).optional().describe('Who moves the frames. Default: vhost where the host has it.'),
  offloads: z
    .strictObject({ host: hostOffloadsSchema.optional(), guest: guestOffloadsSchema.optional() })
    .optional()
    .describe('virtio offloads that the host may use towards the guest and the guest towards the host.'),
  mtu: mtuSchema.optional(),
  link: z.enum(['up', 'down']).optional().describe("The guest's carrier. Default up."),
  bandwidth: z
    .strictObject({ inbound: rateSchema.optional(), outbound: rateSchema.optional() })
    .optional()
    .describe("Limits, seen from the guest: inbound is what it receives. tc on the host's tap enforces them."),
  vlan: vlanSchema.optional().describe('Only where the mode tags frames itself: ovs, or a network that does.'),
  target: interfaceNameSchema
    .refine(
      (name) => !/^(vnet|vif|macvtap|macvlan)/.test(name),
      'must not start with vnet, vif, macvtap or macvlan: libvirt takes such names for its own and replaces them',
    )
    .optional()
    .describe("Name of the host's tap or macvtap device."),
  bootOrder: z.int().min(1).max(99).optional(),
} as const

export const nicSchema = z.strictObject(nicShape)

export const managementNicSchema = z.strictObject({ ...nicShape, mode: nicModeNameSchema.default('user') })

export const diskSchema = z
  .strictObject({
    base: pathSchema.optional().describe('A disk image that is only read: the VM writes to a qcow2 overlay on it.'),
    file: pathSchema.optional().describe('A disk image that the VM itself writes to.'),
    format: z.enum(['qcow2', 'raw']).default('qcow2').describe('Format of base or file.'),
    size: sizeSchema.optional().describe('Size of the overlay, if larger than its base; or of a new file.'),
    bus: z.enum(['virtio', 'scsi', 'sata', 'ide', 'usb']).default('virtio'),
    cache: z.enum(['none', 'writeback', 'writethrough', 'directsync', 'unsafe']).optional(),
    serial: z
      .string()
      .regex(/^[A-Za-z0-9_.+-]{1,20}$/, 'must be 1 to 20 of A-Z a-z 0-9 _ . + -')
      .optional(),
    readOnly: z.boolean().default(false),
    allowBackingFile: z
      .boolean()
      .default(false)
      .describe('Whether base or file may itself stand on a backing file: an image can name any file of the host.'),
    bootOrder: z.int().min(1).max(99).optional(),
  })
  .refine((disk) => (disk.base === undefined) !== (disk.file === undefined), 'needs either base or file')
  .refine((disk) => !(disk.readOnly && disk.base !== undefined), {
    message: 'has no meaning with base, which is never written',
    path: ['readOnly'],
  })
  .refine((disk) => !(disk.readOnly && (disk.bus === 'sata' || disk.bus === 'ide')), {
    message: 'is not possible on sata and ide, which know no read-only disks: use virtio, scsi or usb',
    path: ['readOnly'],
  })

const cpuSchema = z
  .strictObject({
    mode: z
      .enum(['auto', 'host-passthrough', 'host-model', 'maximum', 'custom'])
      .default('auto')
      .describe('auto: the host CPU under KVM; QEMU’s default under TCG, where every other mode is slower.'),
    model: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be a CPU model such as Nehalem')
      .optional()
      .describe('Only with mode custom.'),
    features: z
      .record(
        z.string().regex(/^[A-Za-z0-9_.-]{1,32}$/, 'must be a CPU feature such as aes'),
        z.enum(['force', 'require', 'optional', 'disable', 'forbid']),
      )
      .default({}),
  })
  .refine((cpu) => (cpu.mode === 'custom') === (cpu.model !== undefined), {
    message: 'is needed with mode custom, and only there',
    path: ['model'],
  })
  .refine((cpu) => cpu.mode !== 'auto' || Object.keys(cpu.features).length === 0, {
    message: 'needs a mode other than auto',
    path: ['features'],
  })

const firmwareSchema = z.union([
  z.literal('bios'),
  z.literal('uefi'),
  z.strictObject({
    loader: pathSchema.describe('UEFI code image, such as /usr/share/OVMF/OVMF_CODE_4M.fd.'),
    nvramTemplate: pathSchema.describe('UEFI variables to start from, such as /usr/share/OVMF/OVMF_VARS_4M.fd.'),
    secureBoot: z.boolean().default(false),
  }),
])

const cloudInitSchema = z.strictObject({
  userData: pathSchema.describe('#cloud-config file; VyOS reads vyos_config_commands in it.'),
  metaData: pathSchema.optional(),
  networkConfig: pathSchema.optional(),
})

/** What runs: one router VM, apart from its name and the place where it runs. */
export const domainDefinitionSchema = z
  .strictObject({
    os: z.enum(['vyos', 'lab-router']).describe('What the guest speaks: how it is logged in to and configured.'),
    title: printable(200).optional(),

    machine: z
      .string()
      .regex(/^(pc|q35|pc-(i440fx|q35)-[A-Za-z0-9.+-]{1,40})$/, 'must be q35, pc or a full x86 machine type')
      .default('q35'),
    vcpus: z.int().min(1).max(255).default(1),
    cpu: cpuSchema.prefault({}),
    pinning: z
      .strictObject({
        vcpus: z
          .record(z.string().regex(/^\d{1,3}$/, 'must be the number of a vCPU, counted from 0'), cpuSetSchema)
          .default({})
          .describe('vCPU -> host CPUs it may run on.'),
        emulator: cpuSetSchema.optional().describe('Host CPUs for QEMU’s own threads.'),
      })
      .optional(),
    memory: sizeSchema.describe('Such as 512 MiB or 8 GiB.'),
    hugepages: z
      .union([z.boolean(), z.enum(['2 MiB', '1 GiB'])])
      .default(false)
      .describe('Memory from huge pages, which the host must have reserved.'),
    firmware: firmwareSchema.default('bios'),

    image: imageSchema.optional().describe('What boots: an image of `vmr image list`, or a qcow2 file.'),
    kernel: z
      .strictObject({
        file: pathSchema,
        initrd: pathSchema.optional(),
        // 2048 is COMMAND_LINE_SIZE on x86 (arch/x86/include/asm/setup.h) with its final NUL.
        cmdline: printable(2047).optional(),
      })
      .optional()
      .describe('Boots a kernel directly, without firmware or boot loader.'),
    disks: z.array(diskSchema).max(16).default([]),
    cdrom: pathSchema.optional().describe('An ISO image, such as the VyOS installer.'),
    cloudInit: cloudInitSchema.optional(),

    nics: z.array(nicSchema).min(1).max(16).describe('In guest order: the first is eth0.'),
    management: managementNicSchema.optional().describe('One more NIC, last in order, that no measurement uses.'),

    serialLog: z.boolean().default(true).describe('Keep everything the guest prints on its console in a file.'),
    rng: z.boolean().default(true).describe('virtio random number generator fed by the host.'),
    watchdog: z
      .strictObject({
        model: z.enum(['i6300esb', 'ib700', 'itco']).default('i6300esb'),
        action: z.enum(['reset', 'shutdown', 'poweroff', 'pause', 'none', 'dump', 'inject-nmi']).default('reset'),
      })
      .optional(),
    xml: z
      .string()
      .max(65536)
      .optional()
      .describe('libvirt XML merged into the domain element by element: the way to what has no field here.'),
  })
  .refine(
    (definition) =>
      definition.image !== undefined ||
      definition.kernel !== undefined ||
      definition.disks.length > 0 ||
      definition.cdrom !== undefined,
    'has nothing to boot: give image, kernel, disks or cdrom',
  )
  .refine(({ image, kernel }) => image === undefined || kernel === undefined || !isBuiltImage(image), {
    message: 'cannot be given together with an image that vmr builds, which brings its own kernel',
    path: ['kernel'],
  })
  .superRefine((definition, context) => {
    for (const vcpu of Object.keys(definition.pinning?.vcpus ?? {})) {
      if (Number(vcpu) >= definition.vcpus)
        context.addIssue({
          code: 'custom',
          message: `there is no vCPU ${vcpu}: vcpus is ${definition.vcpus}, counted from 0`,
          path: ['pinning', 'vcpus', vcpu],
        })
    }
    const { firmware, machine } = definition
    if (typeof firmware === 'object' && firmware.secureBoot && !/^(?:q35$|pc-q35-)/.test(machine))
      context.addIssue({
        code: 'custom',
        message: 'needs machine q35: secure boot relies on its system management mode',
        path: ['firmware', 'secureBoot'],
      })
    if (definition.memory < 64 * 1024)
      context.addIssue({ code: 'custom', message: 'must be at least 64 MiB', path: ['memory'] })
    if (definition.memory > 16 * 1024 ** 3)
      context.addIssue({ code: 'custom', message: 'must be at most 16 TiB', path: ['memory'] })
    const twice = bootOrderGivenTwice(definition)
    if (twice !== undefined) context.addIssue({ code: 'custom', message: `bootOrder ${twice} is given to two devices` })
  })

export function bootOrderGivenTwice({
  disks,
  nics,
  management,
}: {
  readonly disks: readonly z.infer<typeof diskSchema>[]
  readonly nics: readonly z.infer<typeof nicSchema>[]
  readonly management?: z.infer<typeof managementNicSchema> | undefined
}): number | undefined {
  const orders = [...disks, ...nics, ...(management === undefined ? [] : [management])].flatMap((device) =>
    device.bootOrder === undefined ? [] : [device.bootOrder],
  )
  return orders.find((order, index) => orders.indexOf(order) !== index)
}

/** Sizes (`memory`, `disks[].size`) are in KiB. */
export type DomainDefinition = z.infer<typeof domainDefinitionSchema>
export type NicDefinition = DomainDefinition['nics'][number]
