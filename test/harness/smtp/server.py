# A real SMTP server for tests: aiosmtpd with STARTTLS or TLS, AUTH, and refusals by address. It says its port on
# standard output, and then each message that it took as a line of JSON.
import argparse
import asyncio
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('nobody@'):
            return '550 5.1.1 No such user here'
        if address.startswith('later@'):
            return '451 4.7.1 Greylisted, try again later'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 OK'

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'tls': bool(session.ssl),
            'user': session.auth_data.decode() if session.auth_data else '', 'content': envelope.content.decode('utf-8', 'replace'),
        }), flush=True)
        return '250 2.0.0 Queued as 7'


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--security', choices=['starttls', 'tls', 'none'], required=True)
    a.add_argument('--cert')
    a.add_argument('--key')
    a.add_argument('--user')
    a.add_argument('--password')
    args = a.parse_args()
    context = None
    if args.security != 'none':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)

    def check(server, session, envelope, mechanism, data):
        good = data.login == args.user.encode() and data.password == args.password.encode()
        return AuthResult(success=good, handled=False, auth_data=data.login)

    def make():
        return SMTP(
            Handler(), hostname='mail.test', timeout=30, loop=loop,
            tls_context=context if args.security == 'starttls' else None, require_starttls=args.security == 'starttls',
            authenticator=check if args.user else None, auth_required=bool(args.user),
            # Within TLS from the beginning aiosmtpd does not know that there is TLS.
            auth_require_tls=args.security == 'starttls')

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(loop.create_server(make, '127.0.0.1', 0, ssl=context if args.security == 'tls' else None))
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.run_forever()


main()
