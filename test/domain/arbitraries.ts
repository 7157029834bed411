import fc from 'fast-check'
import { stringify } from 'yaml'
import type { DomainDefinition } from '../../src/config/domain-definition.ts'
import { definitionFrom, shippedModes } from './specs.ts'

const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const pick = <T>(...values: T[]) => fc.constantFrom(...values)
const word = fc.string({ unit: pick(...'abcXYZ019_-.'), minLength: 1, maxLength: 12 }).map((text) => `w${text}`)
const path = fc
  .string({ unit: pick(...'abc09 <>&"\'ä-._'), minLength: 1, maxLength: 15 })
  .map((text) => `/images/${text}x`)
const freeText = fc.string({ unit: pick(...'abc <>&"\'=/ä中😀'), minLength: 1, maxLength: 30 })
const flag = some(fc.boolean())
const mac = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 })
  .map((bytes) => ['52', '54', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':'))
const rate = fc.record(
  {
    average: fc.integer({ min: 1, max: 10 ** 6 }),
    peak: fc.integer({ min: 1, max: 10 ** 6 }),
    burst: fc.integer({ min: 1, max: 9999 }),
  },
  { requiredKeys: ['average'] },
)
const offloads = fc.record({ csum: flag, tso4: flag, tso6: flag, ecn: flag, ufo: flag })

const bridgedModes: readonly string[] = ['bridge', 'bridge-trust', 'network', 'ovs']
const taggingModes: readonly string[] = ['ovs', 'network']

const nic = fc
  .record({
    mode: pick(...shippedModes.modes.keys()),
    mac: some(mac),
    virtio: fc.boolean(),
    model: pick('e1000', 'e1000e', 'rtl8139'),
    queues: some(fc.integer({ min: 1, max: 256 })),
    rxQueueSize: some(pick(256, 512, 1024)),
    txQueueSize: some(pick(256)),
    driver: some(pick('vhost', 'qemu')),
    offloads: some(fc.record({ host: offloads, guest: offloads })),
    mtu: some(fc.integer({ min: 1280, max: 65535 })),
    link: some(pick('up', 'down')),
    bandwidth: some(fc.record({ inbound: some(rate), outbound: some(rate) })),
    vlan: some(
      fc.oneof(
        fc.integer({ min: 1, max: 4094 }),
        fc.record({
          trunk: fc.uniqueArray(fc.integer({ min: 1, max: 4094 }), { minLength: 1, maxLength: 4 }),
          native: some(fc.integer({ min: 1, max: 4094 })),
        }),
      ),
    ),
    target: some(word.filter((name) => name.length <= 15)),
  })
  // Only what the mode and model can have: what they cannot is refused, which other tests look at.
  .map(({ virtio, model, mode, mac: address, mtu, link, vlan, target, bandwidth, queues, driver, ...virtioOnly }) => {
    const userMode = mode === 'user' || mode === 'passt'
    return {
      mode,
      mac: address,
      model: virtio ? 'virtio' : model,
      link,
      ...(virtio ? virtioOnly : {}),
      ...(virtio && !userMode ? { queues, driver } : {}),
      ...(userMode ? {} : { target, bandwidth }),
      ...(taggingModes.includes(mode) ? { vlan } : {}),
      ...(bridgedModes.includes(mode) ? { mtu } : {}),
    }
  })

const disk = fc
  .record({
    base: path,
    own: fc.boolean(),
    format: pick('qcow2', 'raw'),
    bus: pick('virtio', 'scsi', 'sata', 'usb'),
    cache: some(pick('none', 'writeback', 'writethrough', 'directsync', 'unsafe')),
    serial: some(word),
    size: some(fc.integer({ min: 1, max: 4096 }).map((size) => `${size} GiB`)),
    readOnly: fc.boolean(),
    allowBackingFile: fc.boolean(),
  })
  .map(({ base, own, readOnly, ...rest }) => ({
    ...rest,
    ...(own ? { file: base, readOnly: readOnly && rest.bus !== 'sata' } : { base }),
  }))

const cpu = fc.oneof(
  pick({ mode: 'auto' }, { mode: 'maximum' }),
  fc.record({
    mode: pick('custom'),
    model: word,
    features: fc.dictionary(word, pick('force', 'require', 'optional', 'disable', 'forbid'), { maxKeys: 3 }),
  }),
)

/** Definitions that a person may write, all of them valid and possible under TCG. */
export const definitions: fc.Arbitrary<DomainDefinition> = fc
  .record({
    os: pick('vyos', 'lab-router'),
    title: some(freeText),
    machine: pick('q35', 'pc', 'pc-q35-7.2'),
    vcpus: fc.integer({ min: 2, max: 255 }),
    cpu,
    pinning: some(
      fc.record({
        vcpus: fc.record({ 0: pick('0-3,^1', '2'), 1: pick('0') }, { requiredKeys: [] }),
        emulator: some(pick('0', '0,2')),
      }),
    ),
    memory: fc.integer({ min: 64, max: 65536 }).map((size) => `${size} MiB`),
    hugepages: pick<boolean | string>(false, true, '2 MiB', '1 GiB'),
    firmware: fc.oneof(
      pick('bios', 'uefi'),
      fc.record({ loader: path, nvramTemplate: path, secureBoot: fc.boolean() }),
    ),
    kernel: some(fc.record({ file: path, initrd: some(path), cmdline: some(freeText) })),
    disks: fc.array(disk, { maxLength: 3 }),
    cdrom: path,
    cloudInit: some(fc.record({ userData: path })),
    nics: fc.uniqueArray(nic, { minLength: 1, maxLength: 5, selector: (each) => each.mac ?? each }),
    management: some(pick({}, { mode: 'passt' })),
    serialLog: fc.boolean(),
    rng: fc.boolean(),
    bootOrders: fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 4 }),
    xml: some(
      pick(
        "<domain><features><vmport state='off'/></features></domain>",
        "<domain><clock><timer name='hpet' present='yes'/></clock><devices><memballoon model='virtio'/></devices></domain>",
        "<domain><devices><vsock model='virtio'><cid auto='yes'/></vsock></devices></domain>",
      ),
    ),
    watchdog: some(fc.record({ model: pick('i6300esb', 'ib700'), action: pick('reset', 'pause', 'none') })),
  })
  .filter(({ firmware, machine }) => typeof firmware === 'string' || !firmware.secureBoot || machine !== 'pc')
  .map(({ bootOrders, ...input }) => {
    const orders = [...bootOrders]
    const ordered = <T>(devices: readonly T[]) => devices.map((device) => ({ ...device, bootOrder: orders.pop() }))
    return { ...input, disks: ordered(input.disks), nics: ordered(input.nics) }
  })
  .map((input) => definitionFrom(stringify(JSON.parse(JSON.stringify(input)), { aliasDuplicateObjects: false })))
