import { createHash } from 'node:crypto'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { VmrError } from '../errors/vmr-error.ts'
import type { RunResult, Shell } from '../shell/shell.ts'

/** One package as apt can download it now. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
  /** Of the .deb, in hexadecimal, from apt's signed lists. */
  readonly sha256: string
  readonly sizeBytes: number
  readonly depends: readonly string[]
}

interface AptOptions {
  readonly signal?: AbortSignal | undefined
}

const aptListsHint = 'run `apt-get update` (as root), and check that this machine reaches its Debian mirror'

/**
 * Asks apt for the wanted packages and the library packages they need, from the lists that are on this machine.
 *
 * Only dependencies that carry shared libraries (`lib…`) and the real kernel behind a kernel metapackage are followed:
 * what else packages depend on (debconf, adduser) serves installing them, and they are unpacked, never installed.
 *
 * @throws VmrError IMAGE_BUILD_FAILED if apt knows one of the wanted packages not, or fails.
 */
export async function resolvePackages(
  shell: Shell,
  wanted: readonly string[],
  options: AptOptions = {},
): Promise<readonly DebianPackage[]> {
  const found = new Map<string, DebianPackage>()
  const asked = new Set<string>()
  let names: readonly string[] = wanted
  while (names.length > 0) {
    for (const name of names) asked.add(name)
    // All versions, newest first: the newest may be known from its installation alone, and cannot be downloaded then.
    const result = await shell.run(['apt-cache', 'show', '--all-versions', ...names], {
      timeoutMs: 60_000,
      maxOutputBytes: 16 * 1024 * 1024,
      ...signalOf(options),
    })
    const records = newestOfEach(parsePackageRecords(result.stdout))
    for (const record of records) found.set(record.name, record)
    const missing = names.filter((name) => wanted.includes(name) && !found.has(name))
    if (missing.length > 0) {
      throw new VmrError('IMAGE_BUILD_FAILED', `apt knows no package ${missing.join(', ')}: ${wordsOf(result)}`, {
        hint: aptListsHint,
      })
    }
    names = [...new Set(records.flatMap((record) => record.depends.filter(isFollowed)))].filter(
      (name) => !asked.has(name),
    )
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const newestOfEach = (records: readonly DebianPackage[]): readonly DebianPackage[] =>
  records.filter((record, index) => records.findIndex(({ name }) => name === record.name) === index)

const isFollowed = (name: string): boolean => /^(z?lib|linux-image-)/.test(name)

/** Reads what `apt-cache show` prints: one paragraph a package (deb-control(5)). Incomplete paragraphs are left out. */
export function parsePackageRecords(text: string): readonly DebianPackage[] {
  return text.split(/\n\n+/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1]?.trim()
    const name = field('Package')
    const version = field('Version')
    const architecture = field('Architecture')
    const sha256 = field('SHA256')
    const size = field('Size')
    if (name === undefined || version === undefined || architecture === undefined) return []
    if (sha256 === undefined || !/^[0-9a-f]{64}$/.test(sha256) || size === undefined || !/^\d+$/.test(size)) return []
    const depends = [field('Pre-Depends'), field('Depends')].flatMap((list) => dependencyNames(list ?? ''))
    return [{ name, version, architecture, sha256, sizeBytes: Number(size), depends }]
  })
}

/** `libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0` -> `libc6`, `debconf`: of alternatives the first, as apt prefers. */
function dependencyNames(list: string): string[] {
  return list
    .split(',')
    .map((item) => /^\s*([a-z0-9][a-z0-9+.-]*)/.exec(item)?.[1])
    .filter((name) => name !== undefined)
}

/**
 * Downloads into `directory` the packages that are not there yet, under their digest as name, and checks each against
 * apt's data. `directory` and `workDirectory` are on one file system.
 *
 * @throws VmrError IMAGE_BUILD_FAILED if apt cannot download or the bytes are not the ones apt announced;
 * HOST_DISK_FULL.
 */
export async function downloadPackages(
  shell: Shell,
  packages: readonly DebianPackage[],
  directory: string,
  workDirectory: string,
  options: AptOptions = {},
): Promise<void> {
  const missing: DebianPackage[] = []
  for (const item of packages) {
    if (!(await hasDigest(packageFile(directory, item), item.sha256))) missing.push(item)
  }
  if (missing.length === 0) return
  const result = await shell.run(
    ['env', '-C', workDirectory, 'apt-get', 'download', '-q', ...missing.map((item) => `${item.name}=${item.version}`)],
    { timeoutMs: 600_000, ...signalOf(options) },
  )
  if (result.exitCode !== 0) throw aptFailure(result)
  for (const item of missing) {
    const downloaded = join(workDirectory, downloadedName(item))
    if (!(await hasDigest(downloaded, item.sha256))) {
      throw new VmrError(
        'IMAGE_BUILD_FAILED',
        `the package ${item.name} ${item.version} is not what apt's lists announce`,
        {
          hint: aptListsHint,
        },
      )
    }
    await rename(downloaded, packageFile(directory, item))
  }
}

/** Where {@link downloadPackages} keeps a package. */
export const packageFile = (directory: string, item: DebianPackage): string => join(directory, `${item.sha256}.deb`)

/** The name that `apt-get download` gives a file: apt writes the epoch's colon as %3a. */
const downloadedName = (item: DebianPackage): string =>
  `${item.name}_${item.version.replaceAll(':', '%3a')}_${item.architecture}.deb`

async function hasDigest(path: string, sha256: string): Promise<boolean> {
  try {
    return (
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex') === sha256
    )
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

function aptFailure(result: RunResult): VmrError {
  const words = wordsOf(result)
  if (/No space left on device|not enough free space/i.test(words)) {
    return new VmrError('HOST_DISK_FULL', `the disk is full while downloading Debian packages: ${words}`, {
      hint: 'free some space (about 400 MB are needed) and build again',
    })
  }
  return new VmrError('IMAGE_BUILD_FAILED', `apt could not download the image's packages: ${words}`, {
    hint: aptListsHint,
  })
}

/** apt's own errors and warnings without its progress, short enough for one message. */
function wordsOf(result: RunResult): string {
  const lines = `${result.stderr}\n${result.stdout}`.split('\n').filter((line) => /^[EWN]: /.test(line))
  const errors = lines.filter((line) => line.startsWith('E: '))
  const words = (errors.length > 0 ? errors : lines).map((line) => line.slice(3)).join('; ')
  return (words === '' ? `exit status ${result.exitCode}` : words).slice(0, 600)
}

const signalOf = (options: AptOptions) => (options.signal === undefined ? {} : { signal: options.signal })
