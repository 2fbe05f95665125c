#!/usr/bin/env php
<?php
// SPDX-License-Identifier: MIT
// Sends a mail to oneself and lists the mailbox, with nothing but the socket:  mail.php ACCOUNT ADDRESS
declare(strict_types=1);

final class Gateway
{
    private $stream;
    private int $number = 0;

    public function __construct(?string $path = null)
    {
        $path ??= getenv('POSTERN_SOCKET') ?: '/run/postern/postern.sock';
        $this->stream = stream_socket_client("unix://$path", $code, $text, 5) ?: throw new RuntimeException($text);
    }

    public function call(string $method, array $params = []): array
    {
        $request = ['jsonrpc' => '2.0', 'id' => ++$this->number, 'method' => $method, 'params' => (object) $params];
        fwrite($this->stream, json_encode($request, JSON_THROW_ON_ERROR) . "\n");
        $answer = json_decode((string) fgets($this->stream), true, 128, JSON_THROW_ON_ERROR);
        if (isset($answer['error'])) {
            throw new RuntimeException($answer['error']['message']);
        }
        return $answer['result'];
    }
}

[, $account, $address] = $argv;
$gateway = new Gateway();
$sent = $gateway->call('smtp.send', ['account' => $account, 'message' => [
    'from' => $address, 'to' => $address, 'subject' => 'From PHP', 'text' => "No password here.\n"]]);
echo "sent as {$sent['message_id']}\n";
$list = $gateway->call('imap.fetch', ['account' => $account, 'uids' => '1:*', 'items' => ['ENVELOPE']]);
foreach ($list['messages'] as $message) {
    echo "{$message['uid']} {$message['envelope']['subject']}\n";
}
