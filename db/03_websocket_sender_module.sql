prompt WEBSOCKET_SENDER_MODULE: the way to the server in JavaScript (MLE, Oracle Database 23ai and later)
-- No line of the JavaScript ends in a semicolon: a SQL*Plus older than 23 does not know this statement and would take the
-- first semicolon at the end of a line for its end. For the same reason blank lines are allowed for a moment.
set define off
set sqlblanklines on

create or replace mle module websocket_sender_module language javascript as
import "mle-js-fetch"

const BROADCAST_PATH = "/api/broadcast"
const BASE_URL = /^https?:\/\/[A-Za-z0-9.:\[\]-]+(\/[A-Za-z0-9._~\/-]*)?$/

/**
 * JSON with every character beyond ASCII written as an escape, which JSON allows inside strings, the only place where
 * such characters can stand. Whatever character set the layers below choose, they cannot damage it.
 */
export function asciiJson(text) {
  return text.replace(/[\u007f-\uffff]/g, unit => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"))
}

/**
 * Body of POST /api/broadcast. The payload is checked and then passed on as it is written: to parse and to write it again
 * would round numbers of more than 15 digits.
 */
export function publicationBody(channel, eventName, payload) {
  const payloadJson = isMissing(payload) ? "null" : payload
  try {
    JSON.parse(payloadJson)
  } catch (error) {
    throw new Error("payload is not valid JSON, nothing was sent: " + error.message)
  }
  const event = isMissing(eventName) ? null : eventName
  return `{"channel":${JSON.stringify(channel)},"eventName":${JSON.stringify(event)},"payload":${payloadJson}}`
}

/**
 * Sends a POST with a JSON body. Returns {"status", "body"} as JSON text for any answer of the server; rejects when there
 * is none. Timeout, wallet, proxy and the refusal of redirects are settings of UTL_HTTP in the session that calls.
 */
export async function post(url, apiKey, body) {
  const headers = { "Content-Type": "application/json; charset=utf-8" }
  if (!isMissing(apiKey)) {
    headers["X-API-Key"] = apiKey
  }
  const response = await fetch(url, { method: "POST", headers, body: asciiJson(body) })
  const text = await response.text()
  return asciiJson(JSON.stringify({ status: response.status, body: text }))
}

/** Publishes one message; rejects with the server's words when the answer is not 200. The API key is in no message. */
export async function sendBroadcast(apiKey, baseUrl, channel, eventName, payload) {
  if (isMissing(channel)) {
    throw new Error("channel is required")
  }
  if (isMissing(baseUrl) || !BASE_URL.test(baseUrl)) {
    throw new Error("base URL must be http or https, host, optional port and path, nothing else")
  }
  const url = baseUrl.replace(/\/+$/, "") + BROADCAST_PATH
  const answer = JSON.parse(await post(url, apiKey, publicationBody(channel, eventName, payload)))
  if (answer.status !== 200) {
    throw new Error(`the server answered with HTTP ${answer.status}: ${failureText(answer.body)}`)
  }
}

/** What the server says of a failure, or the first characters of whatever answered instead of it. */
export function failureText(body) {
  try {
    const { code, message } = JSON.parse(body)
    return `${code}: ${message}`
  } catch {
    return body.slice(0, 500)
  }
}

function isMissing(value) {
  return value === null || value === undefined || value === ""
}
/

set sqlblanklines off
set define on
show errors
