import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { hasErrno, writeError } from '../../errors/write-error.ts'
import { fingerprintOfPem } from '../../shell/https/post-form.ts'
import type { Shell } from '../../shell/shell.ts'
import { vmDirectory } from '../create.ts'

const keyFile = (name: string) => join(vmDirectory(name), 'api-key')
const certificateFile = (name: string) => join(vmDirectory(name), 'api-certificate.pem')

/** What renderCommand takes in a value, without blanks: it stands in VyOS's configuration. */
const keySchema = z.string().regex(/^[\x21-\x7e]{8,512}$/)

/** The key that the guest was given; undefined where it was given none. Only its owner may read the file. */
export async function keptApiKey(name: string): Promise<string | undefined> {
  const file = keyFile(name)
  const text = await readIfThere(file)
  return text === undefined ? undefined : checkKey(text, file)
}

/** @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID. The file's words are in no message. */
export async function readApiKey(file: string): Promise<string> {
  const text = await readIfThere(file)
  if (text === undefined) throw new VmrError('CONFIG_NOT_FOUND', `${file}: no such file`, { hint: 'Check the path.' })
  return checkKey(text, file)
}

/** The key that is kept for this VM, or a new one. */
export async function makeApiKey(name: string): Promise<string> {
  const kept = await keptApiKey(name)
  if (kept !== undefined) return kept
  const key = randomBytes(32).toString('hex')
  await writePrivate(keyFile(name), `${key}\n`)
  return key
}

/** SHA-256 of the guest's certificate, as it was read over its console. */
export async function pinnedCertificate(name: string): Promise<string | undefined> {
  const text = await readIfThere(certificateFile(name))
  return text === undefined ? undefined : fingerprintOfPem(text)
}

/**
 * Where VyOS's web server has its certificate: in its own configuration, or in what that includes for the self-signed
 * one (vyos-1x, data/templates/https/nginx.default.j2).
 */
const showCertificate = `cd /etc/nginx && for file in sites-enabled/default snippets/snakeoil.conf; do
  certificate=$(sed -n 's/^[[:space:]]*ssl_certificate[[:space:]]\\{1,\\}\\([^;]*\\);.*/\\1/p' "$file" | head -n 1)
  if [ -n "$certificate" ]; then cat "$certificate"; exit; fi
done`

/**
 * Reads the certificate of the guest's HTTPS service over its console, the one channel that nobody on the network can
 * come between, and pins it.
 *
 * @returns its fingerprint
 * @throws VmrError GUEST_NOT_READY for a guest that has none
 */
export async function pinCertificate(
  name: string,
  console: Shell,
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  const { stdout } = await console.run(['sudo', '-n', 'sh', '-c', showCertificate], { timeoutMs: 60_000, signal })
  const fingerprint = fingerprintOfPem(stdout)
  if (fingerprint === undefined)
    throw new VmrError('GUEST_NOT_READY', `${name} has no certificate of an HTTPS service`, {
      hint: `Switch the service on: vmr guest enable-api ${name}`,
    })
  await writePrivate(certificateFile(name), stdout)
  return fingerprint
}

function checkKey(text: string, file: string): string {
  const key = keySchema.safeParse(text.replace(/\r?\n$/, ''))
  if (key.success) return key.data
  throw new VmrError('CONFIG_INVALID', `${file} holds no key of an HTTP API`, {
    hint: 'A key is one line of 8 to 512 characters of ASCII, without blanks.',
  })
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined
    throw new VmrError('CONFIG_INVALID', `${file}: cannot be read`, {
      hint: 'Name a file that you may read.',
      cause: error,
    })
  }
}

async function writePrivate(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFileAtomic(file, text, { mode: 0o600 })
  } catch (error) {
    throw writeError(file, error, { permission: 'Run vmr as root.' })
  }
}
