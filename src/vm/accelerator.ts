import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import type { Accelerator } from '../domain/domain-xml.ts'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import type { Shell } from '../shell/shell.ts'

export interface AcceleratorVerdict {
  readonly accelerator: Accelerator
  /** Why, for people. */
  readonly reason: string
}

export interface DetectOptions {
  readonly requested: 'auto' | Accelerator
  readonly shell: Shell
  /** The kernel and initramfs that shall boot. */
  readonly kernel: string
  readonly initramfs: string
  /** Where the verdict of a test boot is kept for this host. */
  readonly cacheDirectory: string
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
}

/** Under KVM the guest is at its prompt in two seconds; where KVM hangs, it hangs for ever. */
const testBootLimitMs = 10_000
export const kvmDevice = '/dev/kvm'

const cachedVerdictSchema = z.strictObject({ key: z.string(), works: z.boolean(), reason: z.string() })

/**
 * KVM only if a guest really boots with it: on nested or para-virtualised hosts /dev/kvm is there, libvirt lists it, and
 * an ordinary kernel hangs at 100 % system time. The verdict is kept until kernel, CPU or QEMU change.
 *
 * @throws VmrError HOST_PERMISSION when KVM was asked for and does not work.
 */
export async function detectAccelerator(options: DetectOptions): Promise<AcceleratorVerdict> {
  const { requested } = options
  if (requested === 'tcg') return { accelerator: 'tcg', reason: 'asked for' }
  const { works, reason } = await kvmWorks(options)
  if (works) return { accelerator: 'kvm', reason }
  if (requested === 'kvm')
    throw new VmrError('HOST_PERMISSION', `KVM does not work here: ${reason}`, {
      hint: 'Use --accel auto or tcg, or enable virtualisation in the firmware of the host.',
    })
  return { accelerator: 'tcg', reason }
}

async function kvmWorks(options: DetectOptions): Promise<{ readonly works: boolean; readonly reason: string }> {
  const { shell, cacheDirectory, signal } = options
  const device = await stat(kvmDevice).catch(() => undefined)
  if (device === undefined) return { works: false, reason: `there is no ${kvmDevice}` }
  const version = await shell.run(['qemu-system-x86_64', '--version'], { signal })
  const kernel = await readFile('/proc/version', 'utf8')
  const cpu = /^model name\s*:.*$/m.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[0] ?? ''
  const key = JSON.stringify([kernel, cpu, version.stdout.split('\n')[0], device.rdev, device.mode, options.kernel])
  const file = join(cacheDirectory, 'accelerator.json')
  const cached = await readVerdict(file)
  if (cached?.key === key) return cached
  options.onProgress?.('testing whether KVM boots a guest')
  const verdict = await testBoot(options)
  await writeFileAtomic(file, `${JSON.stringify({ key, ...verdict })}\n`)
  return verdict
}

async function readVerdict(file: string): Promise<z.infer<typeof cachedVerdictSchema> | undefined> {
  try {
    return cachedVerdictSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    // Never asked, or damaged: a test boot finds out again.
    return undefined
  }
}

async function testBoot({
  shell,
  kernel,
  initramfs,
  signal,
}: DetectOptions): Promise<{ readonly works: boolean; readonly reason: string }> {
  const argv = [
    ...['qemu-system-x86_64', '-accel', 'kvm', '-m', '384', '-display', 'none', '-nodefaults', '-no-reboot'],
    ...['-kernel', kernel, '-initrd', initramfs, '-serial', 'stdio'],
    // panic=-1 with a missing init ends QEMU as soon as the kernel has reached user space.
    ...['-append', 'console=ttyS0 panic=-1 rdinit=/vmr-test-boot'],
  ]
  try {
    const { stdout, stderr, exitCode } = await shell.run(argv, { timeoutMs: testBootLimitMs, signal })
    if (exitCode === 0 && /Run \/|not syncing|No working init/.test(stdout))
      return { works: true, reason: 'a test boot succeeded' }
    const words = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
    return { works: false, reason: `${kvmDevice} is there, but QEMU says: ${words || `exit status ${exitCode}`}` }
  } catch (error) {
    if (isVmrError(error) && error.code === 'TIMED_OUT')
      return {
        works: false,
        reason: `${kvmDevice} is there, but a test boot did not finish in ${testBootLimitMs / 1000} s`,
      }
    throw error
  }
}
