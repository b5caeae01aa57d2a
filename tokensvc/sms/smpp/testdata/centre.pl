#!/usr/bin/perl
# A message centre made of Net::SMPP (Debian: libnet-smpp-perl), which shares no code with the sender that it hears.
# It prints its port, and then a line for each request that it understood: its name, and what it read, in hex.
use strict;
use warnings;
use Net::SMPP;

$| = 1;
my ($user, $password) = @ARGV;
my $centre = Net::SMPP->new_listen('127.0.0.1', port => 0, smpp_version => 0x34) or die "listen: $!";
print $centre->sockport, "\n";

sub shown {
    my ($pdu, @fields) = @_;
    return join ' ', map { $_ . '=' . unpack('H*', defined $pdu->{$_} ? $pdu->{$_} : '') } @fields;
}

while (my $s = $centre->accept) {
    $s->set_version(0x34);
    while (my $pdu = $s->read_pdu) {
        if ($pdu->{cmd} == 0x02) {
            print 'bind ', shown($pdu, qw(system_id password system_type interface_version)), "\n";
            my $wrong = $pdu->{system_id} ne $user ? 0x0f : $pdu->{password} ne $password ? 0x0e : 0;
            $s->bind_transmitter_resp(system_id => 'centre', seq => $pdu->{seq}, status => $wrong);
        } elsif ($pdu->{cmd} == 0x04) {
            print 'submit ', shown($pdu, qw(source_addr_ton source_addr_npi source_addr dest_addr_ton dest_addr_npi destination_addr
                esm_class validity_period registered_delivery data_coding short_message)), "\n";
            $s->enquire_link(seq => 4711, async => 1);
            $s->submit_sm_resp(message_id => '1', seq => $pdu->{seq});
        } elsif ($pdu->{cmd} == 0x06) {
            print "unbind\n";
            $s->unbind_resp(seq => $pdu->{seq});
            last;
        } elsif ($pdu->{cmd} == 0x80000015) {
            print "enquire_link_resp seq=$pdu->{seq}\n";
        } else {
            print "other $pdu->{cmd}\n";
        }
    }
    close $s;
}
