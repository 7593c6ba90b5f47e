package PVE::Firewall;

sub update_nf_conntrack_max {
    my ($options) = @_;
    my $max = 262144; # what the kernel has
}
