#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
# Sends a mail to oneself and lists the mailbox, with nothing but the socket:  mail.pl ACCOUNT ADDRESS
use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;

binmode STDOUT, ':encoding(UTF-8)';
my ($account, $address) = @ARGV;
my $path = $ENV{POSTERN_SOCKET} // '/run/postern/postern.sock';
my $gateway = IO::Socket::UNIX->new(Peer => $path) or die "no gateway at $path: $!\n";
$gateway->autoflush(1);
my $number = 0;

sub call {
    my ($method, %params) = @_;
    print {$gateway} encode_json({ jsonrpc => '2.0', id => ++$number, method => $method, params => \%params }), "\n";
    my $answer = decode_json(scalar <$gateway>);
    die "$answer->{error}{message}\n" if $answer->{error};
    return $answer->{result};
}

my $sent = call('smtp.send', account => $account, message => {
    from => $address, to => $address, subject => 'From Perl', text => "No password here.\n" });
print "sent as $sent->{message_id}\n";
my $list = call('imap.fetch', account => $account, uids => '1:*', items => ['ENVELOPE']);
print "$_->{uid} $_->{envelope}{subject}\n" for @{ $list->{messages} };
