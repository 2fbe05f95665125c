# man: pages written by hand; postern-methods(7) and postern.conf(5), postern-account(5) are made from the tables that they describe
dist_man_MANS += %reldir%/libpostern.3 %reldir%/postern.1 %reldir%/posternd.8
