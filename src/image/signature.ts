import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VmrError } from '../errors/vmr-error.ts'
import type { RunResult, Shell } from '../shell/shell.ts'
import { unreadable } from './disk-image.ts'

export interface SignatureFiles {
  /** A detached signature: minisign's, or OpenPGP's, armoured or not. */
  readonly signature: string
  /** The public key that it must be of. */
  readonly key: string
}

/** Hashing an image of a few gigabytes on a slow disk. */
const timeoutMs = 600_000
const maxSignatureBytes = 1024 * 1024

/**
 * Checks that a file has a good signature of that key, by minisign or GnuPG, as the signature itself says.
 *
 * @returns whose it is, for the record: "minisign RWT…" or "OpenPGP FINGERPRINT".
 * @throws VmrError IMAGE_INVALID for one that is not good, HOST_TOOL_MISSING, CONFIG_NOT_FOUND.
 */
export async function verifySignature(
  file: string,
  files: SignatureFiles,
  { shell, signal }: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<string> {
  const text = await readSmall(files.signature)
  const key = await readSmall(files.key)
  const run = (argv: readonly string[]) => shell.run(argv, { timeoutMs, signal })
  return text.startsWith('untrusted comment:') ? verifyMinisign(file, files, key, run) : verifyOpenPgp(file, files, run)
}

type Run = (argv: readonly string[]) => Promise<RunResult>

async function verifyMinisign(file: string, files: SignatureFiles, keyText: string, run: Run): Promise<string> {
  const key = /^RW[A-Za-z0-9+/=]{54,60}$/m.exec(keyText)?.[0]
  if (key === undefined)
    throw new VmrError('IMAGE_INVALID', `${files.key} is no public key of minisign`, {
      hint: 'The signature is minisign’s: give the .pub file that belongs to it as --key.',
    })
  const said = await run(['minisign', '-V', '-q', '-P', key, '-x', files.signature, '-m', file])
  if (said.exitCode !== 0) throw notGood(file, files, said)
  return `minisign ${key}`
}

async function verifyOpenPgp(file: string, files: SignatureFiles, run: Run): Promise<string> {
  // A keyring of its own: what the caller's holds is no proof of anything here.
  const home = await mkdtemp(join(tmpdir(), 'vmr-gpg-'))
  try {
    await chmod(home, 0o700)
    const gpg = ['gpg', '--homedir', home, '--batch', '--no-tty', '--no-autostart', '--status-fd', '1']
    const imported = await run([...gpg, '--import', files.key])
    if (!/^\[GNUPG:\] IMPORT_OK /m.test(imported.stdout))
      throw new VmrError('IMAGE_INVALID', `${files.key} is no OpenPGP key: ${lastWords(imported)}`, {
        hint: 'Give the public key as --key, exported by gpg --armor --export.',
      })
    const said = await run([...gpg, '--trust-model', 'always', '--verify', files.signature, file])
    const fingerprint = /^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64}) /m.exec(said.stdout)?.[1]
    if (said.exitCode !== 0 || fingerprint === undefined) throw notGood(file, files, said)
    return `OpenPGP ${fingerprint}`
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

function notGood(file: string, { signature, key }: SignatureFiles, said: RunResult): VmrError {
  return new VmrError('IMAGE_INVALID', `${signature} is no good signature of ${file} by ${key}: ${lastWords(said)}`, {
    hint: 'Fetch the image and its signature again. Do not use it as it is.',
  })
}

function lastWords({ stderr, stdout }: RunResult): string {
  return ((stderr.trim() || stdout.trim()).split('\n').at(-1) ?? '').slice(0, 300)
}

async function readSmall(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > maxSignatureBytes)
      throw new VmrError('IMAGE_INVALID', `${file} is too large to be a signature or a key`, {
        hint: 'Give the detached signature as --signature, the public key as --key.',
      })
    return await readFile(file, 'latin1')
  } catch (error) {
    throw error instanceof VmrError ? error : unreadable(file, error)
  }
}
