import type { NicDefinition } from '../config/domain-definition.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { type NicMode, sourceAttribute } from './nic-modes.ts'
import { supportsChild } from './nic-support.ts'
import { element, firstChild, withAttributes, withChild, withChildren, type XmlElement } from './xml/element.ts'

/** How a NIC behaves, apart from what it is attached to. */
export type NicOptions = Omit<NicDefinition, 'mode' | 'source' | 'uplink' | 'mac'>

export interface NicAttachment {
  readonly mode: NicMode
  readonly mac: string
  /** The bridge, uplink or libvirt network it is attached to, by mode; undefined where the mode names it or needs none. */
  readonly source?: string | undefined
  readonly options?: NicOptions | undefined
}

/** Order in which libvirt itself writes the children of `<interface>` (virDomainNetDefFormat in src/conf/domain_conf.c). */
const childOrder = [
  'mac',
  'source',
  'virtualport',
  'portForward',
  'backend',
  'ip',
  'route',
  'script',
  'downscript',
  'vlan',
  'bandwidth',
  'target',
  'guest',
  'model',
  'driver',
  'port',
  'filterref',
  'teaming',
  'link',
  'mtu',
  'coalesce',
  'tune',
  'boot',
  'rom',
  'acpi',
  'alias',
  'address',
]

export function inLibvirtOrder(interfaceElement: XmlElement): XmlElement {
  const rank = (name: string) => {
    const index = childOrder.indexOf(name)
    return index === -1 ? childOrder.length : index
  }
  const children = [...interfaceElement.children]
    .filter((node) => node.kind === 'element')
    .sort((left, right) => rank(left.name) - rank(right.name))
  return withChildren(interfaceElement, children)
}

/**
 * The `<interface>` element of a NIC: the mode's own, with MAC, source and the options set into it. An option wins over
 * what the mode's file says about the same thing.
 *
 * @throws VmrError CONFIG_INVALID for a missing source, or an option that this mode cannot have.
 */
export function nicElement({ mode, mac, source, options = {} }: NicAttachment): XmlElement {
  let result = withChild(withSource(mode, source), element('mac', { address: mac.toLowerCase() }))
  const model = options.model ?? firstChild(result, 'model')?.attributes.type ?? 'virtio'
  result = withChild(result, element('model', { type: model }))
  checkOptions(mode, model, options)

  const driver = driverElement(firstChild(result, 'driver') ?? element('driver'), options)
  if (Object.keys(driver.attributes).length > 0 || driver.children.length > 0) result = withChild(result, driver)
  if (options.target !== undefined) result = withChild(result, element('target', { dev: options.target }))
  if (options.mtu !== undefined) result = withChild(result, element('mtu', { size: options.mtu }))
  if (options.link !== undefined) result = withChild(result, element('link', { state: options.link }))
  if (options.bootOrder !== undefined) result = withChild(result, element('boot', { order: options.bootOrder }))
  if (options.bandwidth !== undefined) result = withChild(result, bandwidthElement(options.bandwidth))
  if (options.vlan !== undefined) result = withChild(result, vlanElement(options.vlan))
  return inLibvirtOrder(result)
}

/** The mode's element with its source named. */
export function withSource(mode: NicMode, source: string | undefined): XmlElement {
  const attribute = sourceAttribute(mode.element.attributes.type)
  if (attribute === undefined) {
    if (source === undefined) return mode.element
    throw new VmrError('CONFIG_INVALID', `NIC mode ${mode.name} is attached to nothing, so a source has no meaning`, {
      hint: `Remove source ${JSON.stringify(source)}, or choose another mode.`,
    })
  }
  const own = firstChild(mode.element, 'source')
  const named = source ?? own?.attributes[attribute]
  if (named === undefined)
    throw new VmrError('CONFIG_INVALID', `NIC mode ${mode.name} needs to know its ${sourceWords[attribute]}`, {
      hint: 'Give source in the definition, or name a testbed that has it.',
    })
  return withChild(mode.element, withAttributes(own ?? element('source'), { [attribute]: named }))
}

const sourceWords = { bridge: 'bridge', dev: 'uplink', network: 'libvirt network' } as const

function checkOptions(mode: NicMode, model: string, options: NicOptions): void {
  const refuse = (field: string, why: string, hint: string) => {
    throw new VmrError('CONFIG_INVALID', `${field} cannot be used with NIC mode ${mode.name}: ${why}`, { hint })
  }
  const hints = {
    vlan: 'Use mode ovs, or tag inside the guest.',
    mtu: 'Set the MTU of the uplink and of the interface inside the guest instead.',
    target: 'Remove target.',
    bandwidth: 'Remove bandwidth.',
  } as const
  for (const field of ['vlan', 'mtu', 'target', 'bandwidth'] as const) {
    if (options[field] !== undefined && !supportsChild(mode.element, field))
      refuse(field, 'libvirt cannot apply it there', hints[field])
  }
  const virtioOnly = {
    queues: options.queues,
    rxQueueSize: options.rxQueueSize,
    txQueueSize: options.txQueueSize,
    driver: options.driver,
    offloads: options.offloads,
  }
  const used = Object.entries(virtioOnly).find(([, value]) => value !== undefined)?.[0]
  if (used !== undefined && model !== 'virtio')
    refuse(used, `the model is ${model}, and only virtio has it`, `Remove ${used}, or set model to virtio.`)
  const { type } = mode.element.attributes
  // virtio_net_max_tx_queue_size in QEMU's hw/net/virtio-net.c: elsewhere it takes 256, whatever is asked.
  if ((options.txQueueSize ?? 0) > 256 && type !== 'vhostuser' && type !== 'vdpa')
    refuse('txQueueSize', 'QEMU sends through 256 entries there, whatever is asked', 'Remove txQueueSize, or set 256.')
  const needsTap = options.driver === 'vhost' ? 'driver' : options.queues === undefined ? undefined : 'queues'
  if (needsTap !== undefined && type === 'user') refuse(needsTap, 'there is no tap on the host', `Remove ${needsTap}.`)
}

const onOff = (value: boolean | undefined) => (value === undefined ? undefined : value ? 'on' : 'off')

function driverElement(own: XmlElement, options: NicOptions): XmlElement {
  const named = withAttributes(own, {
    ...own.attributes,
    ...(options.driver === undefined ? {} : { name: options.driver }),
    ...(options.queues === undefined ? {} : { queues: options.queues }),
    ...(options.rxQueueSize === undefined ? {} : { rx_queue_size: options.rxQueueSize }),
    ...(options.txQueueSize === undefined ? {} : { tx_queue_size: options.txQueueSize }),
  })
  return (['host', 'guest'] as const).reduce((driver, side) => {
    const wanted = options.offloads?.[side]
    if (wanted === undefined) return driver
    const { mrgRxbuf, ...others } = { mrgRxbuf: undefined, ...wanted }
    const set = Object.entries({ ...others, mrg_rxbuf: mrgRxbuf }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, onOff(value)] as const],
    )
    if (set.length === 0) return driver
    const before = firstChild(driver, side) ?? element(side)
    return withChild(driver, withAttributes(before, Object.fromEntries(set)))
  }, named)
}

function bandwidthElement(bandwidth: NonNullable<NicOptions['bandwidth']>): XmlElement {
  const { inbound, outbound } = bandwidth
  return element('bandwidth', {}, [
    inbound === undefined ? undefined : element('inbound', inbound),
    outbound === undefined ? undefined : element('outbound', outbound),
  ])
}

function vlanElement(vlan: NonNullable<NicOptions['vlan']>): XmlElement {
  if (typeof vlan === 'number') return element('vlan', {}, [element('tag', { id: vlan })])
  const { native } = vlan
  const ids = native === undefined || vlan.trunk.includes(native) ? vlan.trunk : [...vlan.trunk, native]
  return element(
    'vlan',
    { trunk: 'yes' },
    ids.map((id) => element('tag', { id, nativeMode: id === native ? 'untagged' : undefined })),
  )
}
