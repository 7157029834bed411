import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoadedDomainDefinition } from '../config/load-domain-definition.ts'
import { type NetworkConfig, networkConfigSchema } from '../config/network-config.ts'
import { vmsDirectory } from '../config/paths.ts'
import { checkVmName } from '../config/vm-name.ts'
import { type Accelerator, buildDomainXml, loadDomainSkeleton } from '../domain/domain-xml.ts'
import type { NicModes } from '../domain/nic-modes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { hostName } from '../image/cloud-init-seed.ts'
import { storedName } from '../image/disk-image.ts'
import type { LabImage } from '../image/lab-image.ts'
import { findStoredImage } from '../image/stored-image.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import { cloudConfig, cloudInitCommands, cloudNetworkConfig, type LoginKey } from '../os/vyos/cloud-init.ts'
import { trainOf } from '../os/vyos/version.ts'
import { localShell } from '../shell/local.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { prepareUplink } from '../testbed/uplink.ts'
import type { Journal } from '../undo/journal.ts'
import { type BootedGuest, bootGuest, firstLine } from './boot.ts'
import { findDomain } from './find-vm.ts'
import { factoryCredentials, type GuestSystem, guestAccess } from './guest-access.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { type ResolvedNics, resolveNics } from './resolve-nics.ts'
import { makeStorage, type PlannedStorage, planStorage } from './storage.ts'
import { withVmLock } from './vm-lock.ts'

export interface VmRequest {
  readonly name: string
  readonly definition: LoadedDomainDefinition
  /** Interface mode of every NIC whose definition names none. */
  readonly mode: string
  readonly modes: NicModes
  readonly testbedName: string
  readonly testbed: Testbed
  /** The lab router's image, where the definition asks for it. */
  readonly image: LabImage | undefined
  readonly accelerator: Accelerator
  readonly vmrVersion: string
  /** What it gets at its first boot, beside a host name and its login, if its image has cloud-init. */
  readonly first?: { readonly network: NetworkConfig; readonly key?: LoginKey | undefined } | undefined
  readonly signal: AbortSignal
}

/** What a seed configures. */
interface PlannedSeed {
  readonly network: NetworkConfig
  readonly commands: readonly string[]
  readonly texts: { readonly userData: string; readonly networkConfig: string }
}

/** Of an image that nobody has said the release of. What a seed says has been the same since 1.2. */
const usualTrain = '1.4'

/** A VM as it would be defined. */
export interface PlannedVm {
  readonly name: string
  readonly uuid: string
  readonly xml: string
  readonly nics: ResolvedNics
  readonly storage: PlannedStorage
  readonly os: GuestSystem
  /** What a seed of vmr's configures at the first boot; undefined without one. */
  readonly seed: PlannedSeed | undefined
  /** Everything that belongs to this VM alone. */
  readonly directory: string
}

/** Where a VM's own files are: serial log, overlays, cloud-init seed, UEFI variables. */
export function vmDirectory(name: string): string {
  return join(vmsDirectory(), checkVmName(name))
}

/** What the journal of a VM that is meant to stay is for: deleting the VM finds it by this. */
export function vmPurpose(name: string): string {
  return `vm ${name}`
}

/**
 * Decides everything about a VM and changes nothing.
 *
 * @throws VmrError NAME_INVALID, NIC_MODE_UNKNOWN, CONFIG_INVALID, TEMPLATE_INVALID, and what planStorage throws.
 */
export async function planVm(request: VmRequest): Promise<PlannedVm> {
  const { name, definition, mode, modes, testbed, testbedName, image, accelerator, vmrVersion, signal } = request
  const directory = vmDirectory(name)
  const built = builtImage(definition, image)
  const nics = resolveNics({
    vmName: name,
    definition: definition.definition,
    modes,
    defaultMode: mode,
    testbed,
  })
  const uuid = randomUUID()
  const { disks } = definition.definition
  const seed = await planSeed(request)
  const storage = await planStorage({
    seed: seed?.texts,
    vmName: name,
    uuid,
    definition: definition.definition,
    directory,
    shell: localShell,
    signal,
  })
  const imageName = built === undefined ? (disks[0]?.base ?? disks[0]?.file) : `${built.kind} ${built.digest}`
  const xml = buildDomainXml({
    skeleton: await loadDomainSkeleton(),
    name,
    uuid,
    accelerator,
    definition: definition.definition,
    definitionName: definition.name,
    testbed: testbedName,
    ...(imageName === undefined ? {} : { image: imageName }),
    vmrVersion,
    kernel:
      built === undefined
        ? storage.kernel
        : { kernel: built.kernel, initrd: built.initramfs, cmdline: built.commandLine },
    disks: storage.disks,
    cdroms: storage.cdroms,
    nvram: storage.nvram,
    nics: nics.nics,
    ...(definition.definition.serialLog ? { serialLog: join(directory, 'serial.log') } : {}),
  })
  return { name, uuid, xml, nics, storage, os: definition.definition.os, seed, directory }
}

/** The seed for the first boot of an image that has cloud-init, where the definition has none of its own. */
async function planSeed({ name, definition, first }: VmRequest): Promise<PlannedSeed | undefined> {
  const { disks, cloudInit, nics, management } = definition.definition
  const base = disks[0]?.base
  const stored = base === undefined ? undefined : storedName(base)
  if (stored === undefined || cloudInit !== undefined) return undefined
  const image = await findStoredImage(stored)
  if (image.cloudInit !== true) return undefined
  const { user, password } = factoryCredentials
  const network = networkConfigSchema.parse({ ...first?.network, hostName: hostLabel(name) })
  const train = (image.release === undefined ? undefined : trainOf(image.release)) ?? usualTrain
  const commands = cloudInitCommands({ network, user, password, key: first?.key }, train)
  const nicCount = nics.length + (management === undefined ? 0 : 1)
  return {
    network,
    commands,
    texts: { userData: cloudConfig(commands), networkConfig: cloudNetworkConfig(nicCount) },
  }
}

/** RFC 1123: at most 63 of letters, digits and hyphens, none at its ends. */
function hostLabel(vmName: string): string {
  return hostName(vmName).replaceAll('.', '-').slice(0, 63).replace(/-+$/, '')
}

/** Undefined for a definition that names its own kernel, disks or installer. */
function builtImage({ file, definition }: LoadedDomainDefinition, image: LabImage | undefined): LabImage | undefined {
  if (definition.image === undefined) return undefined
  if (image?.kind === definition.image) return image
  throw new VmrError('CONFIG_INVALID', `${file}: vmr builds no image ${definition.image}`, {
    hint: 'Set image: lab-router, or the path of a qcow2 image.',
  })
}

export interface CreateOptions {
  /** Records every change before it is made; what a failure leaves is in it. */
  readonly journal: Journal
  readonly signal: AbortSignal
  readonly accelerator: Accelerator
  readonly onProgress?: (activity: string) => void
}

export interface CreatedVm extends BootedGuest {
  readonly plan: PlannedVm
}

/**
 * Prepares the uplinks, makes the disks, defines the domain, boots it and logs in.
 *
 * @throws VmrError VM_EXISTS, UPLINK_NOT_FOUND, UPLINK_BUSY, LIBVIRT_FAILED, HOST_BUSY, and what bootGuest throws.
 */
export function createVm(connection: Connection, plan: PlannedVm, options: CreateOptions): Promise<CreatedVm> {
  return withVmLock(plan.name, options, () => makeVm(connection, plan, options))
}

async function makeVm(connection: Connection, plan: PlannedVm, options: CreateOptions): Promise<CreatedVm> {
  const { journal, signal, accelerator, onProgress } = options
  const { name, uuid, xml, nics, storage, directory } = plan
  if ((await findDomain(connection, name, signal)) !== undefined)
    throw new VmrError('VM_EXISTS', `there is already a domain ${name}`, {
      hint: `Choose another name, or remove it with \`vmr vm delete ${name}\`.`,
    })
  onProgress?.('preparing the uplinks')
  for (const { uplink, use } of nics.uplinkUses) await prepareUplink(uplink, use, { journal, signal })
  await journal.before({ kind: 'directory', path: directory })
  try {
    await mkdir(directory, { recursive: true })
  } catch (error) {
    throw writeError(directory, error, { permission: 'Run vmr as root.' })
  }
  if (storage.toMake.length > 0) onProgress?.('making its disks')
  await makeStorage(storage.toMake, { journal, shell: localShell, signal })
  await journal.before({ kind: 'domain', uri: connection.uri, name, uuid })
  onProgress?.('defining the domain')
  const domain: Domain = await withLibvirt(`defining ${name}`, () =>
    connection.defineDomain(xml, { validate: true, signal }),
  )
  const access = guestAccess(plan.os, accelerator)
  const booted = await bootGuest(connection, domain, {
    ...access,
    signal,
    onState: ({ state }) => onProgress?.(`booting: ${state}`),
    onRetry: (reason) => onProgress?.(`trying once more: ${firstLine(reason)}`),
  })
  return { ...booted, plan }
}
